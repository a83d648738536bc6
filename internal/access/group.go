package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Group is accounts that things are shared with together.
type Group struct {
	Name    string
	Created time.Time
	Members []string // names of accounts, in order
}

// group is a group as it is stored.
type group struct {
	ID      string `gorm:"primaryKey"`
	Name    string // canonical
	Created time.Time
}

// TableName names the table.
func (group) TableName() string { return "groups" }

// groupMember is a membership as it is stored.
type groupMember struct {
	GroupID string `gorm:"primaryKey"`
	UserID  string `gorm:"primaryKey"`
}

// TableName names the table.
func (groupMember) TableName() string { return "group_members" }

// Groups returns all groups by name.
func (s *Service) Groups(ctx context.Context) ([]Group, error) {
	var rows []group
	if err := s.db.WithContext(ctx).Order("name").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the groups: %w", err)
	}
	var members []struct{ GroupID, Name string }
	err := s.db.WithContext(ctx).Table("group_members").Select("group_members.group_id, users.name").
		Joins("JOIN users ON users.id = group_members.user_id").Order("users.name").Scan(&members).Error
	if err != nil {
		return nil, fmt.Errorf("list the groups' members: %w", err)
	}
	byGroup := map[string][]string{}
	for _, m := range members {
		byGroup[m.GroupID] = append(byGroup[m.GroupID], m.Name)
	}
	list := make([]Group, len(rows))
	for i, g := range rows {
		list[i] = Group{Name: g.Name, Created: g.Created.UTC(), Members: byGroup[g.ID]}
	}
	return list, nil
}

// CreateGroup makes an empty group. It returns fault.Invalid for a bad name, and
// fault.NameTaken.
func (s *Service) CreateGroup(ctx context.Context, name string) (Group, error) {
	name = canonical(name)
	if err := validName(name); err != nil {
		return Group{}, err
	}
	g := group{ID: newID(), Name: name, Created: s.now()}
	err := s.db.WithContext(ctx).Create(&g).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Group{}, fault.New(fault.NameTaken, "Group %q already exists.", name)
	}
	if err != nil {
		return Group{}, fmt.Errorf("make a group: %w", err)
	}
	s.log.InfoContext(ctx, "group made", "group", name)
	return Group{Name: name, Created: g.Created}, nil
}

// DeleteGroup deletes a group with what was shared with it; its members stay. It returns
// fault.NotFound.
func (s *Service) DeleteGroup(ctx context.Context, name string) error {
	g, err := s.groupNamed(ctx, name)
	if err != nil {
		return err
	}
	if err := s.db.WithContext(ctx).Delete(&g).Error; err != nil {
		return fmt.Errorf("delete group %q: %w", g.Name, err)
	}
	s.log.InfoContext(ctx, "group deleted", "group", g.Name)
	return nil
}

// AddMember puts an account into a group; no error when it is there. It returns
// fault.NotFound for an unknown group or account.
func (s *Service) AddMember(ctx context.Context, groupName, userName string) error {
	m, err := s.membership(ctx, groupName, userName)
	if err != nil {
		return err
	}
	if err := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&m).Error; err != nil {
		return fmt.Errorf("add a member to group %q: %w", groupName, err)
	}
	s.log.InfoContext(ctx, "group joined", "group", groupName, "user", userName)
	return nil
}

// RemoveMember takes an account out of a group. It returns fault.NotFound for an
// unknown group or account, and for an account that is not in the group.
func (s *Service) RemoveMember(ctx context.Context, groupName, userName string) error {
	m, err := s.membership(ctx, groupName, userName)
	if err != nil {
		return err
	}
	removed := s.db.WithContext(ctx).Delete(&m)
	if removed.Error != nil {
		return fmt.Errorf("remove a member of group %q: %w", groupName, removed.Error)
	}
	if removed.RowsAffected == 0 {
		return fault.New(fault.NotFound, "Account %q is not in group %q.", userName, groupName)
	}
	s.log.InfoContext(ctx, "group left", "group", groupName, "user", userName)
	return nil
}

func (s *Service) membership(ctx context.Context, groupName, userName string) (groupMember, error) {
	g, err := s.groupNamed(ctx, groupName)
	if err != nil {
		return groupMember{}, err
	}
	u, err := s.User(ctx, userName)
	return groupMember{GroupID: g.ID, UserID: u.ID}, err
}

func (s *Service) groupNamed(ctx context.Context, name string) (group, error) {
	unknown := fault.New(fault.NotFound, "Group not found.")
	if name = canonical(name); !storable(name, MaxNameBytes) {
		return group{}, unknown
	}
	g, found, err := one[group](s.db.WithContext(ctx).Where("name = ?", name))
	switch {
	case err != nil:
		return group{}, fmt.Errorf("read a group: %w", err)
	case !found:
		return group{}, unknown
	}
	return g, nil
}

package access

import (
	"context"
	"fmt"
	"maps"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Grantee is whom something is shared with: one of the two is set.
type Grantee struct {
	User  string // an account's name
	Group string // a group's name
}

// Share is a right on an object that was given to someone.
type Share struct {
	Grantee
	Level   Level
	Created time.Time
}

// share is a share as it is stored.
type share struct {
	ID       string `gorm:"primaryKey"`
	Kind     Kind
	ObjectID string
	UserID   *string
	User     *user
	GroupID  *string
	Group    *group
	Level    Level
	Created  time.Time
}

// TableName names the table.
func (share) TableName() string { return "shares" }

// Shares returns whom an object is shared with, the first first.
func (s *Service) Shares(ctx context.Context, kind Kind, id string) ([]Share, error) {
	var rows []share
	err := s.db.WithContext(ctx).Preload("User").Preload("Group").Where("kind = ? AND object_id = ?", kind, id).Order("created, id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the shares of %s %s: %w", kind, id, err)
	}
	list := make([]Share, len(rows))
	for i, r := range rows {
		list[i] = Share{Level: r.Level, Created: r.Created.UTC()}
		if r.User != nil {
			list[i].User = r.User.Name
		} else if r.Group != nil {
			list[i].Group = r.Group.Name
		}
	}
	return list, nil
}

// SetShare gives someone View or Use of an object, instead of what they were given before.
// It returns fault.Invalid for another level and fault.NotFound for an unknown account or
// group.
func (s *Service) SetShare(ctx context.Context, kind Kind, id string, to Grantee, level Level) error {
	if level != View && level != Use {
		return fault.Field("level", "The level must be view or use.")
	}
	row, column, err := s.shareWith(ctx, kind, id, to)
	if err != nil {
		return err
	}
	row.ID, row.Level, row.Created = newID(), level, s.now()
	err = s.db.WithContext(ctx).Omit("User", "Group").Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "kind"}, {Name: "object_id"}, {Name: column}},
		DoUpdates: clause.Assignments(map[string]any{"level": level}),
	}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("share %s %s: %w", kind, id, err)
	}
	s.log.InfoContext(ctx, "shared", string(kind), id, "with", to.String(), "level", level.String())
	return nil
}

// RemoveShare takes back what someone was given. It returns fault.NotFound for an unknown
// account or group, and for one that was given nothing.
func (s *Service) RemoveShare(ctx context.Context, kind Kind, id string, to Grantee) error {
	row, _, err := s.shareWith(ctx, kind, id, to)
	if err != nil {
		return err
	}
	removed := s.db.WithContext(ctx).Where(&row).Delete(&share{})
	if removed.Error != nil {
		return fmt.Errorf("unshare %s %s: %w", kind, id, removed.Error)
	}
	if removed.RowsAffected == 0 {
		return fault.New(fault.NotFound, "The %s is not shared with %s.", kind, to)
	}
	s.log.InfoContext(ctx, "unshared", string(kind), id, "from", to.String())
	return nil
}

// Forget removes all shares of an object. Call it when the object was deleted, and
// for a new one: its id may be one that was used before.
func (s *Service) Forget(ctx context.Context, kind Kind, id string) error {
	if err := s.db.WithContext(ctx).Where("kind = ? AND object_id = ?", kind, id).Delete(&share{}).Error; err != nil {
		return fmt.Errorf("forget the shares of %s %s: %w", kind, id, err)
	}
	return nil
}

// shareWith returns the row that names object and grantee, and the column that
// names the latter.
func (s *Service) shareWith(ctx context.Context, kind Kind, id string, to Grantee) (row share, column string, err error) {
	row = share{Kind: kind, ObjectID: id}
	if to.Group != "" {
		g, err := s.groupNamed(ctx, to.Group)
		row.GroupID = &g.ID
		return row, "group_id", err
	}
	u, err := s.User(ctx, to.User)
	row.UserID = &u.ID
	return row, "user_id", err
}

// String names the grantee for logs.
func (g Grantee) String() string {
	if g.Group != "" {
		return "group " + g.Group
	}
	return g.User
}

// given are shares by what they are of.
type given map[sharedObject]Level

type sharedObject struct {
	kind Kind
	id   string
}

// sharedWith returns what was shared with an account, itself or as a member of
// groups.
func sharedWith(db *gorm.DB, userID string) (given, error) {
	var rows []share
	groups := db.Session(&gorm.Session{NewDB: true}).Model(&groupMember{}).Select("group_id").Where("user_id = ?", userID)
	if err := db.Select("kind", "object_id", "level").Where("user_id = ? OR group_id IN (?)", userID, groups).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read what is shared with account %s: %w", userID, err)
	}
	g := given{}
	for _, r := range rows {
		g.add(r)
	}
	return g, nil
}

// add keeps the highest of several levels.
func (g given) add(r share) {
	key := sharedObject{r.Kind, r.ObjectID}
	g[key] = max(g[key], r.Level)
}

// shareNodes adds to shares of labs those of the nodes in them.
func (s *Service) shareNodes(ctx context.Context, shares ...given) error {
	var nodes map[string][]string // by lab; read where someone has a share of one
	for _, g := range shares {
		for object, level := range maps.Clone(g) {
			if object.kind != Lab {
				continue
			}
			if nodes == nil {
				var err error
				if nodes, err = s.labNodes(ctx); err != nil {
					return err
				}
			}
			for _, id := range nodes[object.id] {
				node := sharedObject{Node, id}
				g[node] = max(g[node], level)
			}
		}
	}
	return nil
}

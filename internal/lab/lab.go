// Package lab keeps labs: nodes and the isolated networks between them, as users draw
// them.
//
// libvirt is authoritative for nodes, networks and network interfaces. The tables of this
// package have what libvirt cannot store: a lab's name and owner, its nodes and networks,
// and their positions on the canvas. If something no longer exists in libvirt, a lab is
// shown without it; its row does no harm.
package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Kind is the kind of an object in a lab. It is stored in the database.
type Kind string

// The kinds.
const (
	Node    Kind = "node"
	Network Kind = "network"
)

const (
	// MaxNameLength is the maximum length of a lab's name in characters.
	MaxNameLength = 64
	// MaxPlaces is the maximum number of nodes and networks in a lab.
	MaxPlaces = 200
	// MaxCoordinate is the maximum distance from the canvas's origin on each axis, in
	// pixels.
	MaxCoordinate = 100_000
)

// Lab is a stored lab.
type Lab struct {
	ID      string
	Name    string
	Owner   string // an account's id
	Created time.Time
	// Places are the lab's nodes and networks.
	Places []Place
}

// Place is the position of a node or a network in a lab. X and Y are in pixels of the
// canvas at its natural size.
type Place struct {
	Kind Kind
	ID   string // libvirt's UUID
	X, Y float64
}

// Of returns the places of a kind.
func (l Lab) Of(kind Kind) []Place {
	var list []Place
	for _, p := range l.Places {
		if p.Kind == kind {
			list = append(list, p)
		}
	}
	return list
}

// Has reports whether a node or a network is in the lab.
func (l Lab) Has(kind Kind, id string) bool {
	for _, p := range l.Places {
		if p.Kind == kind && p.ID == id {
			return true
		}
	}
	return false
}

// row is the database row of a lab.
type row struct {
	ID      string `gorm:"primaryKey"`
	Name    string
	Owner   string
	Created time.Time
	Places  []placeRow `gorm:"foreignKey:LabID"`
}

// TableName names the table.
func (row) TableName() string { return "labs" }

type placeRow struct {
	Kind     Kind   `gorm:"primaryKey"`
	ObjectID string `gorm:"primaryKey"`
	LabID    string
	X, Y     float64
}

// TableName names the table.
func (placeRow) TableName() string { return "lab_places" }

func (r row) lab() Lab {
	l := Lab{ID: r.ID, Name: r.Name, Owner: r.Owner, Created: r.Created.UTC()}
	for _, p := range r.Places {
		l.Places = append(l.Places, Place{Kind: p.Kind, ID: p.ObjectID, X: p.X, Y: p.Y})
	}
	return l
}

// Options configures a Service; all fields are required.
type Options struct {
	// DB must be opened with this package's Migrations.
	DB      *gorm.DB
	Libvirt Libvirt
	Events  *event.Broker
}

// Service keeps the labs. Its methods may be called from any goroutine.
type Service struct{ o Options }

// New creates a Service. It starts no goroutines.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.Libvirt == nil || o.Events == nil {
		return nil, errors.New("lab: database, libvirt and events are required")
	}
	return &Service{o}, nil
}

// NotFound returns the error for a lab that does not exist.
func NotFound(id string) error {
	return fault.New(fault.NotFound, "Lab %q not found.", id)
}

// List returns all labs, sorted by name.
func (s *Service) List(ctx context.Context) ([]Lab, error) {
	var rows []row
	if err := s.o.DB.WithContext(ctx).Preload("Places").Order("name, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the labs: %w", err)
	}
	list := make([]Lab, len(rows))
	for i, r := range rows {
		list[i] = r.lab()
	}
	return list, nil
}

// Lab returns a lab, or fault.NotFound if it does not exist.
func (s *Service) Lab(ctx context.Context, id string) (Lab, error) {
	if uuid.Validate(id) != nil {
		return Lab{}, NotFound(id)
	}
	var r row
	err := s.o.DB.WithContext(ctx).Preload("Places").Where("id = ?", id).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Lab{}, NotFound(id)
	}
	if err != nil {
		return Lab{}, fmt.Errorf("read lab %s: %w", id, err)
	}
	return r.lab(), nil
}

// Create stores an empty lab.
func (s *Service) Create(ctx context.Context, name, owner string) (Lab, error) {
	name, err := checkName(name)
	if err != nil {
		return Lab{}, err
	}
	return s.create(ctx, uuid.NewString(), name, owner)
}

// create stores a lab, unless it exists.
func (s *Service) create(ctx context.Context, id, name, owner string) (Lab, error) {
	r := row{ID: id, Name: name, Owner: owner, Created: time.Now().UTC().Truncate(time.Microsecond)}
	if err := s.o.DB.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&r).Error; err != nil {
		return Lab{}, fmt.Errorf("create a lab: %w", err)
	}
	return s.changed(ctx, id)
}

// Rename changes a lab's name. check, which may be nil, is called before with the lab
// without its places; if it returns an error, the lab is not changed.
func (s *Service) Rename(ctx context.Context, id, name string, check func(Lab) error) (Lab, error) {
	name, err := checkName(name)
	if err != nil {
		return Lab{}, err
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := checkLocked(tx, id, check); err != nil {
			return err
		}
		return tx.Model(&row{}).Where("id = ?", id).Update("name", name).Error
	})
	if fault.CodeOf(err) == fault.Internal {
		return Lab{}, fmt.Errorf("rename lab %s: %w", id, err)
	}
	if err != nil {
		return Lab{}, err
	}
	return s.changed(ctx, id)
}

// SetOwner changes the owner of a lab to the account with this id. The owners of its nodes
// and networks do not change.
func (s *Service) SetOwner(ctx context.Context, id, account string) error {
	if err := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ?", id).Update("owner", account).Error; err != nil {
		return fmt.Errorf("give lab %s away: %w", id, err)
	}
	_, err := s.changed(ctx, id)
	return err
}

// Delete deletes a lab but not its nodes and networks. checks are called before with the
// lab without its places; if one returns an error, the lab is not deleted.
func (s *Service) Delete(ctx context.Context, id string, checks ...func(Lab) error) error {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return err
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, check := range checks {
			if err := checkLocked(tx, id, check); err != nil {
				return err
			}
		}
		return tx.Where("id = ?", id).Delete(&row{}).Error
	})
	if fault.CodeOf(err) == fault.Internal {
		return fmt.Errorf("delete lab %s: %w", id, err)
	}
	if err != nil {
		return err
	}
	s.o.Events.Publish(event.LabRemoved, Removed{Lab: l})
	return nil
}

// checkLocked locks a lab's row until the end of a transaction, and calls check, which may be
// nil, with the lab without its places.
func checkLocked(tx *gorm.DB, id string, check func(Lab) error) error {
	var now []row
	// The row is locked in databases that allow more than one writer at a time.
	if err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", id).Find(&now).Error; err != nil {
		return err
	}
	if check == nil || len(now) == 0 {
		return nil
	}
	return check(Lab{ID: id, Name: now[0].Name, Owner: now[0].Owner, Created: now[0].Created})
}

// Removed is the data of event.LabRemoved.
type Removed struct {
	Lab Lab // before it was removed
}

func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > MaxNameLength || len(name) > 4*MaxNameLength || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fault.Field("name", "Enter a name of 1 to %d characters without control characters.", MaxNameLength)
	}
	return name, nil
}

// Add adds a node or a network to a lab, or moves it there. If it is in another lab, it
// fails with fault.NodeBusy.
func (s *Service) Add(ctx context.Context, id string, p Place) (Lab, error) {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return Lab{}, err
	}
	if !l.Has(p.Kind, p.ID) && len(l.Places) >= MaxPlaces {
		return Lab{}, fault.New(fault.Unsupported, "Lab %q has %d nodes and networks, which is the limit. Create another lab.", l.Name, len(l.Places))
	}
	if err := p.check(); err != nil {
		return Lab{}, err
	}
	put := s.o.DB.WithContext(ctx).Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "kind"}, {Name: "object_id"}},
		DoUpdates: clause.Assignments(map[string]any{"x": p.X, "y": p.Y}),
		Where:     clause.Where{Exprs: []clause.Expression{clause.Eq{Column: clause.Column{Table: "lab_places", Name: "lab_id"}, Value: id}}},
	}).Create(&placeRow{Kind: p.Kind, ObjectID: p.ID, LabID: id, X: p.X, Y: p.Y})
	if put.Error != nil {
		return Lab{}, fmt.Errorf("place %s %s in lab %s: %w", p.Kind, p.ID, id, put.Error)
	}
	if put.RowsAffected == 0 {
		return Lab{}, fault.New(fault.NodeBusy, "The %s is in another lab. Remove it from that lab first.", p.Kind)
	}
	return s.changed(ctx, id)
}

// Remove removes a node or a network from a lab without deleting it. It returns
// fault.NotFound if it is not in the lab.
func (s *Service) Remove(ctx context.Context, id string, kind Kind, object string) (Lab, error) {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return Lab{}, err
	}
	if err := l.mustHave(kind, object); err != nil {
		return Lab{}, err
	}
	return s.remove(ctx, id, kind, object)
}

// remove is Remove for objects that may already have been removed.
func (s *Service) remove(ctx context.Context, id string, kind Kind, object string) (Lab, error) {
	if err := s.o.DB.WithContext(ctx).Where("lab_id = ? AND kind = ? AND object_id = ?", id, kind, object).Delete(&placeRow{}).Error; err != nil {
		return Lab{}, fmt.Errorf("take %s %s out of lab %s: %w", kind, object, id, err)
	}
	return s.changed(ctx, id)
}

// Forget removes a node from the lab that has it, since its id may be used again.
func (s *Service) Forget(ctx context.Context, node string) error {
	var p placeRow
	found := s.o.DB.WithContext(ctx).Where("kind = ? AND object_id = ?", Node, node).Limit(1).Find(&p)
	if found.Error != nil {
		return fmt.Errorf("forget the place of node %s: %w", node, found.Error)
	}
	if found.RowsAffected == 0 {
		return nil
	}
	_, err := s.remove(ctx, p.LabID, Node, node)
	return err
}

// Move changes positions in a lab. Places of objects that are not in the lab are ignored.
func (s *Service) Move(ctx context.Context, id string, places []Place) (Lab, error) {
	for _, p := range places {
		if err := p.check(); err != nil {
			return Lab{}, err
		}
	}
	err := s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		for _, p := range places {
			if err := tx.Model(&placeRow{}).Where("lab_id = ? AND object_id = ?", id, p.ID).Updates(map[string]any{"x": p.X, "y": p.Y}).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Lab{}, fmt.Errorf("move what is in lab %s: %w", id, err)
	}
	return s.changed(ctx, id)
}

func (p Place) check() error {
	if math.IsNaN(p.X) || math.IsNaN(p.Y) || math.Abs(p.X) > MaxCoordinate || math.Abs(p.Y) > MaxCoordinate {
		return fault.New(fault.Invalid, "Positions must be within %d pixels of the canvas's origin.", MaxCoordinate)
	}
	return nil
}

// Nodes returns the ids of the nodes of each lab, by lab id.
func (s *Service) Nodes(ctx context.Context) (map[string][]string, error) {
	var rows []placeRow
	if err := s.o.DB.WithContext(ctx).Where("kind = ?", Node).Order("object_id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the nodes of the labs: %w", err)
	}
	nodes := map[string][]string{}
	for _, r := range rows {
		nodes[r.LabID] = append(nodes[r.LabID], r.ObjectID)
	}
	return nodes, nil
}

// changed reads a lab again and publishes its event.
func (s *Service) changed(ctx context.Context, id string) (Lab, error) {
	l, err := s.Lab(ctx, id)
	if err == nil {
		s.tell(l)
	}
	return l, err
}

func (s *Service) tell(l Lab) { s.o.Events.Publish(event.LabChanged, l) }

package access

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// accountName keeps what an account was called, also when it is deleted.
type accountName struct {
	ID   string `gorm:"primaryKey"`
	Name string
	// ByName: things may be recorded to belong to the account only by its name, since it
	// was there before owners were recorded by their ids.
	ByName bool
}

// TableName names the table.
func (accountName) TableName() string { return "account_names" }

// namesMigration records which accounts are there while owners become ids: what is recorded
// only by a name keeps its owner, and no later account of that name gets it.
func namesMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026113010_account_names",
		Migrate: func(tx *gorm.DB) error {
			type AccountName struct {
				ID     string `gorm:"primaryKey;type:varchar(36)"`
				Name   string `gorm:"type:varchar(64);not null"`
				ByName bool   `gorm:"not null"`
			}
			if err := tx.Migrator().CreateTable(&AccountName{}); err != nil {
				return err
			}
			return tx.Exec("INSERT INTO account_names (id, name, by_name) SELECT id, name, true FROM users").Error
		},
	}
}

// rememberName keeps the name of an account that is being deleted.
func rememberName(tx *gorm.DB, u user) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&accountName{ID: u.ID, Name: u.Name}).Error
}

// directory knows what accounts are called. Neither names nor ids change, so what was
// read once holds.
type directory struct {
	db  *gorm.DB
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	names  map[string]string // by id
	owners map[string]string // ids by names that stand alone; nil before the first reading
	read   time.Time
}

// rereadAfter bounds how often unknown ids have the accounts read again.
const rereadAfter = time.Second

// directoryTimeout bounds one reading.
const directoryTimeout = 5 * time.Second

// OwnerName returns what the account of an id is called, or was; an id that is
// unknown is returned as it is.
func (s *Service) OwnerName(id string) string {
	d := s.names
	d.mu.Lock()
	defer d.mu.Unlock()
	if uuid.Validate(id) != nil {
		return id
	}
	if d.names[id] == "" && (d.owners == nil || d.now().Sub(d.read) >= rereadAfter) {
		d.reread()
	}
	if name := d.names[id]; name != "" {
		return name
	}
	return id
}

// FormerOwner returns the id of the account that only a name stands for in what was
// recorded before owners were recorded by their ids; empty: no one.
func (s *Service) FormerOwner(name string) string {
	d := s.names
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owners == nil {
		d.reread()
	}
	return d.owners[name]
}

// reread reads all accounts. What fails is tried again.
func (d *directory) reread() {
	ctx, cancel := context.WithTimeout(context.Background(), directoryTimeout)
	defer cancel()
	var kept []accountName
	err := d.db.WithContext(ctx).Find(&kept).Error
	var users []user
	if err == nil {
		err = d.db.WithContext(ctx).Select("id", "name").Find(&users).Error
	}
	d.read = d.now()
	if err != nil {
		d.log.Warn("the accounts' names cannot be read", "error", err)
		return
	}
	names, owners := map[string]string{}, map[string]string{}
	for _, k := range kept {
		names[k.ID] = k.Name + " (deleted)"
		if k.ByName {
			owners[k.Name] = k.ID
		}
	}
	for _, u := range users {
		names[u.ID] = u.Name
	}
	d.names, d.owners = names, owners
}

package access

import (
	"context"
	"fmt"
)

// Account is somebody who may sign in.
type Account struct {
	ID   string
	Name string
	Role Role
}

// Users returns all accounts by name.
func (s *Service) Users(ctx context.Context) ([]Account, error) {
	var accounts []Account
	if err := s.db.WithContext(ctx).Model(&user{}).Order("name").Find(&accounts).Error; err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	return accounts, nil
}

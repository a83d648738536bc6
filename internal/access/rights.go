package access

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Level is a permission on a node, an image or a lab. Each includes those before it.
type Level uint8

// The levels.
const (
	None   Level = iota // it does not exist for them
	View                // see it, and watch its console and its screen
	Use                 // run a node and work in it; make nodes of an image
	Manage              // change it, delete it, share it
)

var levels = []string{"", "view", "use", "manage"}

// String returns the level as it is spelled on the wire.
func (l Level) String() string { return levels[l] }

// Scope is what a token may be used for, besides reading what its account sees.
// Scopes are stored and part of the REST contract.
type Scope string

// The scopes.
const (
	ScopeRead   Scope = "read"   // nothing but reading
	ScopeNodes  Scope = "nodes"  // make and change nodes, type in consoles and screens
	ScopeImages Scope = "images" // upload, change and delete images
	ScopeAdmin  Scope = "admin"  // administration, and the account itself: its password and tokens
)

// ScopeSet is scopes with a space between them; the empty one stands for all that
// the account may do.
type ScopeSet string

// Has reports whether a scope is in the set. Reading is in every set.
func (s ScopeSet) Has(scope Scope) bool {
	return s == "" || scope == "" || scope == ScopeRead || slices.Contains(strings.Fields(string(s)), string(scope))
}

// scopeSet puts scopes together, each once and in order; fault.Invalid for one that
// is not known.
func scopeSet(scopes []Scope) (ScopeSet, error) {
	var words []string
	for _, s := range []Scope{ScopeRead, ScopeNodes, ScopeImages, ScopeAdmin} {
		if slices.Contains(scopes, s) {
			words = append(words, string(s))
		}
	}
	for _, s := range scopes {
		if !slices.Contains(words, string(s)) {
			return "", fault.Field("scopes", "The scope must be read, nodes, images or admin.")
		}
	}
	return ScopeSet(strings.Join(words, " ")), nil
}

var ranks = []Role{RoleViewer, RoleStudent, RoleInstructor, RoleAdmin}

// AtLeast reports whether a role is other or a more powerful one.
func (r Role) AtLeast(other Role) bool { return slices.Index(ranks, r) >= slices.Index(ranks, other) }

// Kind is what can be owned and shared.
type Kind string

// The kinds, as they are stored.
const (
	Node  Kind = "node"
	Image Kind = "image"
	Lab   Kind = "lab" // sharing it shares its nodes
)

// Object is a node, an image or a lab, as far as rights depend on it.
type Object struct {
	Kind  Kind
	ID    string
	Owner string // an account's id; anything else: no one's
	// Common things, such as base images, may be used by everyone who can.
	Common bool
	// Foreign objects were not created here and belong only to administrators.
	Foreign bool
}

// Rights are what a principal may do, as of the moment they were asked for.
type Rights struct {
	Principal
	shares given // none for administrators, who need none
}

// Rights returns what a principal may do now.
func (s *Service) Rights(ctx context.Context, p Principal) (Rights, error) {
	r := Rights{Principal: p}
	if p.Role == RoleAdmin || p.UserID == "" {
		return r, nil
	}
	var err error
	if r.shares, err = sharedWith(s.db.WithContext(ctx), p.UserID); err != nil {
		return Rights{}, err
	}
	return r, s.shareNodes(ctx, r.shares)
}

// AllRights returns the rights of all accounts that may come in.
func (s *Service) AllRights(ctx context.Context) ([]Rights, error) {
	var users []user
	if err := s.db.WithContext(ctx).Where("NOT disabled").Order("name").Find(&users).Error; err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	var shares []share
	if err := s.db.WithContext(ctx).Find(&shares).Error; err != nil {
		return nil, fmt.Errorf("list the shares: %w", err)
	}
	var members []groupMember
	if err := s.db.WithContext(ctx).Find(&members).Error; err != nil {
		return nil, fmt.Errorf("list the groups' members: %w", err)
	}
	byUser, byGroup := map[string]given{}, map[string][]string{}
	for _, u := range users {
		byUser[u.ID] = given{}
	}
	for _, m := range members {
		byGroup[m.GroupID] = append(byGroup[m.GroupID], m.UserID)
	}
	for _, row := range shares {
		var to []string
		if row.UserID != nil {
			to = []string{*row.UserID}
		} else if row.GroupID != nil {
			to = byGroup[*row.GroupID]
		}
		for _, id := range to {
			if g := byUser[id]; g != nil {
				g.add(row)
			}
		}
	}
	if err := s.shareNodes(ctx, slices.Collect(maps.Values(byUser))...); err != nil {
		return nil, err
	}
	all := make([]Rights, len(users))
	for i, u := range users {
		all[i] = Rights{Principal: u.principal(), shares: byUser[u.ID]}
	}
	return all, nil
}

// Equal reports whether two rights allow the same.
func (r Rights) Equal(other Rights) bool {
	return r.Principal == other.Principal && maps.Equal(r.shares, other.shares)
}

// On returns what may be done with an object: all by administrators and its owner, what was
// shared by others. Beyond that, viewers look on, students use what is there, and a token's
// scopes bound it.
func (r Rights) On(o Object) Level {
	level := r.shares[sharedObject{o.Kind, o.ID}]
	switch {
	case r.Role == RoleAdmin:
		level = Manage
	case o.Foreign:
		level = None
	case r.UserID != "" && o.Owner == r.UserID:
		level = Manage
	case o.Common:
		level = max(level, Use)
	}
	switch r.Role {
	case RoleAdmin, RoleInstructor:
	case RoleStudent:
		level = min(level, Use)
	default:
		level = min(level, View)
	}
	scope := ScopeNodes
	if o.Kind == Image {
		scope = ScopeImages
	}
	if !r.Scopes.Has(scope) {
		level = min(level, View)
	}
	return level
}

// Valid reports whether a role is known.
func (r Role) Valid() bool { return slices.Contains(ranks, r) }

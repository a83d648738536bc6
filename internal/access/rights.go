package access

import (
	"context"
	"slices"
	"strings"
)

// Level is what somebody may do with a node or an image. Each includes those
// before it.
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

// Has tells whether a scope is in the set. Reading is in every set.
func (s ScopeSet) Has(scope Scope) bool {
	return s == "" || scope == "" || scope == ScopeRead || slices.Contains(strings.Fields(string(s)), string(scope))
}

var ranks = []Role{RoleViewer, RoleStudent, RoleInstructor, RoleAdmin}

// AtLeast tells whether a role is other or a more powerful one.
func (r Role) AtLeast(other Role) bool { return slices.Index(ranks, r) >= slices.Index(ranks, other) }

// Kind is what can be owned and shared.
type Kind string

// The kinds, as they are stored.
const (
	Node  Kind = "node"
	Image Kind = "image"
)

// Object is a node or an image, as far as rights depend on it.
type Object struct {
	Kind  Kind
	ID    string
	Owner string // an account's name; empty: nobody's
	// Common things, such as base images, may be used by everybody who can.
	Common bool
	// Foreign things were not made here and belong to administrators alone.
	Foreign bool
}

// Rights are what a principal may do, as of the moment they were asked for.
type Rights struct {
	Principal
}

// Rights returns what a principal may do now.
func (s *Service) Rights(_ context.Context, p Principal) (Rights, error) {
	return Rights{Principal: p}, nil
}

// On tells what may be done with an object: all by administrators and its owner,
// what was shared by others. Beyond that, viewers look on, students use what is
// there, and a token's scopes bound it.
func (r Rights) On(o Object) Level {
	level := None
	switch {
	case r.Role == RoleAdmin:
		level = Manage
	case o.Foreign:
	case o.Owner != "" && o.Owner == r.Name:
		level = Manage
	case o.Common:
		level = Use
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

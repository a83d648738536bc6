package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/openid"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
)

// oidcConfig is the OpenID Connect provider that users may sign in with. Without an
// Issuer, it is off.
type oidcConfig struct {
	Issuer      string
	Name        string
	ClientID    string
	Secret      string
	Scopes      []string
	GroupsClaim string
	Roles       map[string]access.Role // by group
	DefaultRole access.Role            // for users without a group in Roles; empty: they cannot sign in
	Roots       *x509.CertPool         // nil: the system's roots
}

func addOIDCFlags(f *pflag.FlagSet) {
	f.String("oidc-issuer", "", "URL of an OpenID Connect provider that users can sign in at; empty: only passwords")
	f.String("oidc-name", "", "name of the provider on the sign-in page (default: its host)")
	f.String("oidc-client-id", "", "client ID of the service at the provider")
	f.String("oidc-client-secret", "", "the service's secret at the provider: file:PATH to read it from a file, or sealed:… as printed by: sandboxlabs secret seal")
	f.String("oidc-scopes", "profile email groups", "scopes to request in addition to openid, separated by spaces")
	f.String("oidc-groups-claim", "groups", "claim that contains the groups")
	f.String("oidc-roles", "", "roles by group of the provider: group=role,group=role; a map in the config file")
	f.String("oidc-default-role", "", "role of users whose groups have none (default: they cannot sign in)")
	f.String("oidc-roots", "", "PEM file of root certificates for the provider's HTTPS (default: those of the system)")
}

// parseOIDC reads the options of the provider. host is the host of the listen option.
func (c *config) parseOIDC(k *koanf.Koanf, host string) error {
	o := oidcConfig{
		Issuer: k.String("oidc-issuer"), Name: k.String("oidc-name"), ClientID: k.String("oidc-client-id"),
		Scopes: strings.Fields(k.String("oidc-scopes")), GroupsClaim: k.String("oidc-groups-claim"),
		DefaultRole: access.Role(k.String("oidc-default-role")),
	}
	if o.Issuer == "" {
		return nil
	}
	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" || !slices.Contains([]string{"http", "https"}, issuer.Scheme) {
		return errors.New("oidc-issuer: give the provider's URL, such as https://id.example.org/realms/labs")
	}
	if issuer.Scheme == "http" && !isLoopback(issuer.Hostname()) {
		return errors.New("oidc-issuer: over http, anyone on the network could sign in as any user; use the provider's https URL")
	}
	if o.Secret, err = c.secretText(k, "oidc-client-secret"); err != nil {
		return err
	}
	if o.ClientID == "" || o.Secret == "" {
		return errors.New("oidc-client-id and oidc-client-secret: set both, as the provider gives them, beside oidc-issuer")
	}
	if c.PublicURL == nil && !isLoopback(host) {
		return errors.New("oidc-issuer: set public-url, too, to the address that browsers use: the provider sends them back there")
	}
	if o.Roles, err = rolesByGroup(k); err != nil {
		return err
	}
	if o.DefaultRole != "" && !o.DefaultRole.Valid() {
		return fmt.Errorf("oidc-default-role: %q must be admin, instructor, student or viewer", o.DefaultRole)
	}
	if len(o.Roles) == 0 && o.DefaultRole == "" {
		return errors.New("oidc-roles: no user could sign in; map groups of the provider to roles, or set oidc-default-role")
	}
	if o.Name == "" {
		o.Name = issuer.Hostname()
	}
	if path := k.String("oidc-roots"); path != "" {
		if o.Roots, err = readRoots(path); err != nil {
			return fmt.Errorf("oidc-roots: %w", err)
		}
	}
	c.OIDC = o
	return nil
}

// rolesByGroup reads "group=role,…", or a YAML map, whose group names may contain any
// character.
func rolesByGroup(k *koanf.Koanf) (map[string]access.Role, error) {
	roles := map[string]access.Role{}
	for group, role := range k.StringMap("oidc-roles") {
		roles[group] = access.Role(role)
	}
	if len(roles) == 0 {
		for _, part := range words(k, "oidc-roles") {
			i := strings.LastIndexByte(part, '=')
			if i < 1 {
				return nil, fmt.Errorf("oidc-roles: %q is not of the form group=role", part)
			}
			roles[part[:i]] = access.Role(part[i+1:])
		}
	}
	for _, group := range slices.Sorted(maps.Keys(roles)) {
		if !roles[group].Valid() {
			return nil, fmt.Errorf("oidc-roles: the role %q of group %q must be admin, instructor, student or viewer", roles[group], group)
		}
	}
	return roles, nil
}

// roleOf returns the most powerful role of the groups.
func (o oidcConfig) roleOf(groups []string) access.Role {
	best := o.DefaultRole
	for _, group := range groups {
		if role := o.Roles[group]; role != "" && (best == "" || role.AtLeast(best)) {
			best = role
		}
	}
	return best
}

// newOIDC returns the provider's client, or nil when there is no provider.
func (c config) newOIDC(keys *secret.Keys) (*api.OIDC, error) {
	if c.OIDC.Issuer == "" {
		return nil, nil // off is not an error
	}
	client, err := openid.New(openid.Options{
		Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, ClientSecret: c.OIDC.Secret, RedirectURL: c.origin() + c.base() + "api/auth/oidc/callback",
		Scopes: c.OIDC.Scopes, GroupsClaim: c.OIDC.GroupsClaim, Roots: c.OIDC.Roots, Vault: keys,
	})
	if err != nil {
		return nil, err
	}
	return &api.OIDC{Client: client, Name: c.OIDC.Name, RoleOf: c.OIDC.roleOf}, nil
}

// origin returns url without its path.
func (c config) origin() string {
	if c.PublicURL != nil {
		return c.PublicURL.Scheme + "://" + c.PublicURL.Host
	}
	return c.url()
}

// readRoots reads certificates from a PEM file.
func readRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path) // the operator chooses the path
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s contains no certificate in PEM format", path)
	}
	return roots, nil
}

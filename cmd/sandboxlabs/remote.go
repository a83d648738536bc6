package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/outbound"
)

const (
	tokenVariable  = envPrefix + "TOKEN"
	urlVariable    = envPrefix + "URL"
	answerPatience = 30 * time.Second
	maxAnswerBytes = 16 << 20
)

// The HTTP clients of a service. A console has no timeout: it stays open as long as its
// user likes.
var (
	serviceClient = outbound.NewClient(outbound.Options{Timeout: answerPatience, MaxBytes: maxAnswerBytes})
	consoleClient = &http.Client{CheckRedirect: outbound.StayAtOrigin}
)

// remote is a service that a command talks to over its API.
type remote struct {
	base  *url.URL // http or https, with no path
	token string   // empty for a service that requires no sign-in
}

// addRemoteFlags declares the flags for reaching the service. There is none for the token,
// since all users of a machine can see the arguments of a process.
func addRemoteFlags(cmd *cobra.Command) {
	cmd.Flags().String("url", "", "address of the service (default: $"+urlVariable+", or where this configuration listens)")
	cmd.Flags().String("token-file", "", "file with the token (default: the token in $"+tokenVariable+")")
}

// newRemote reads the flags, then the environment, then the service's own configuration.
func newRemote(cmd *cobra.Command) (remote, error) {
	address, err := cmd.Flags().GetString("url")
	if err != nil {
		return remote{}, err
	}
	if address == "" {
		address = os.Getenv(urlVariable)
	}
	if address == "" {
		c, err := loadConfig(cmd.Flags())
		if err != nil {
			return remote{}, err
		}
		address = c.url()
	}
	r := remote{token: os.Getenv(tokenVariable)}
	r.base, err = url.Parse(strings.TrimRight(address, "/"))
	if err != nil || r.base.Host == "" || (r.base.Scheme != "http" && r.base.Scheme != "https") || r.base.Path != "" {
		return remote{}, fmt.Errorf("url: %q is not of the form http://address:port", address)
	}
	file, err := cmd.Flags().GetString("token-file")
	if err == nil && file != "" {
		var text []byte
		text, err = os.ReadFile(file)
		r.token = strings.TrimSpace(string(text))
	}
	return r, err
}

func (r remote) header() http.Header {
	h := http.Header{}
	if r.token != "" {
		h.Set("Authorization", "Bearer "+r.token)
	}
	return h
}

// get reads one resource of the API.
func (r remote) get(ctx context.Context, path string, query url.Values, into any) error {
	target := r.base.JoinPath(path)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	req.Header = r.header()
	res, err := serviceClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w; is the service running there?", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return refusalOf(res)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// refusalOf returns the error that the service responded with.
func refusalOf(res *http.Response) error {
	var problem struct{ Detail string }
	if json.NewDecoder(res.Body).Decode(&problem) != nil || problem.Detail == "" {
		return fmt.Errorf("the service returned %s", plainLine(res.Status))
	}
	if res.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s Set $%s to a token; create one with `sandboxlabs token create`", plainLine(problem.Detail), tokenVariable)
	}
	return errors.New(strings.TrimSuffix(plainLine(problem.Detail), "."))
}

// remoteNode is the part of a node that commands need.
type remoteNode struct{ ID, Name, Host string }

// node finds a node by id or by name.
func (r remote) node(ctx context.Context, name string) (remoteNode, error) {
	if id, err := uuid.Parse(name); err == nil {
		var n remoteNode
		err := r.get(ctx, "/api/nodes/"+id.String(), nil, &n)
		return n, err
	}
	var found []remoteNode
	query := url.Values{}
	for {
		var page struct {
			Nodes      []remoteNode
			NextCursor string
		}
		if err := r.get(ctx, "/api/nodes", query, &page); err != nil {
			return remoteNode{}, err
		}
		for _, n := range page.Nodes {
			if n.Name == name {
				found = append(found, n)
			}
		}
		if page.NextCursor == "" {
			break
		}
		query.Set("cursor", page.NextCursor)
	}
	switch len(found) {
	case 0:
		return remoteNode{}, fmt.Errorf("node %q not found", name)
	case 1:
		return found[0], nil
	}
	var places []string
	for _, n := range found {
		places = append(places, plainLine(n.ID+" on host "+n.Host))
	}
	return remoteNode{}, fmt.Errorf("several nodes are named %q; give an id: %s", name, strings.Join(places, ", "))
}

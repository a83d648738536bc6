package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Group is a group of accounts that objects can be shared with, in the API.
type Group struct {
	Name    string    `json:"name"`
	Members []string  `json:"members" doc:"Names of accounts."`
	Created time.Time `json:"created"`
}

func groupOf(g access.Group) Group {
	return Group{Name: g.Name, Members: append([]string{}, g.Members...), Created: g.Created.UTC()}
}

// GroupMember is the path of a membership. It is exported because huma only reads exported embedded
// structs.
type GroupMember struct {
	Name string `path:"name" maxLength:"64"`
	User string `path:"user" maxLength:"64" doc:"Name of an account."`
}

type groupList struct {
	Body struct {
		Groups []Group `json:"groups"`
		Next
	}
}

func (s *Server) registerGroups() {
	register(s, huma.Operation{
		OperationID: "list-groups", Method: http.MethodGet, Path: "/api/groups", Summary: "List the groups with their members", Tags: []string{"access"},
	}, func(ctx context.Context, in *Paging) (*groupList, error) {
		list, err := s.o.Access.Groups(ctx)
		if err != nil {
			return nil, err
		}
		page, next, err := pageOf(*in, "groups", list, func(g access.Group) string { return g.Name })
		if err != nil {
			return nil, err
		}
		out := &groupList{}
		out.Body.Groups, out.Body.Next = []Group{}, next
		for _, g := range page {
			out.Body.Groups = append(out.Body.Groups, groupOf(g))
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "create-group", Method: http.MethodPost, Path: "/api/groups", Summary: "Create a group", Tags: []string{"access"},
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		Body struct {
			Name string `json:"name" limit:"accountName" doc:"The rules for account names apply." example:"class-a"`
		}
	}) (*struct {
		Location string `header:"Location"`
		Body     Group
	}, error) {
		g, err := s.o.Access.CreateGroup(ctx, in.Body.Name)
		if err != nil {
			return nil, err
		}
		return &struct {
			Location string `header:"Location"`
			Body     Group
		}{"/api/groups/" + url.PathEscape(g.Name), groupOf(g)}, nil
	})
	register(s, huma.Operation{
		OperationID: "delete-group", Method: http.MethodDelete, Path: "/api/groups/{name}", Summary: "Delete a group and its shares", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *AccountName) (*struct{}, error) {
		defer s.rightsChanged()
		return nil, s.o.Access.DeleteGroup(ctx, in.Name)
	})
	register(s, huma.Operation{
		OperationID: "add-group-member", Method: http.MethodPut, Path: "/api/groups/{name}/members/{user}", Summary: "Add an account to a group", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *GroupMember) (*struct{}, error) {
		defer s.rightsChanged()
		return nil, s.o.Access.AddMember(ctx, in.Name, in.User)
	})
	register(s, huma.Operation{
		OperationID: "remove-group-member", Method: http.MethodDelete, Path: "/api/groups/{name}/members/{user}", Summary: "Remove an account from a group", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *GroupMember) (*struct{}, error) {
		defer s.rightsChanged()
		return nil, s.o.Access.RemoveMember(ctx, in.Name, in.User)
	})
}

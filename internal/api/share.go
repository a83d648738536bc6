package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Share is a right on a node, an image or a lab granted to another account.
type Share struct {
	User    string    `json:"user,omitempty" doc:"Name of an account, or:"`
	Group   string    `json:"group,omitempty" doc:"Name of a group."`
	Level   string    `json:"level" enum:"view,use"`
	Created time.Time `json:"created"`
}

// ShareTarget is the path of one share. It is exported because huma looks into no
// other embedded struct.
type ShareTarget struct {
	ID   string `path:"id" doc:"Of the node, the image or the lab."`
	Name string `path:"name" maxLength:"64" doc:"Of the account or the group."`
}

var shareLevels = map[string]access.Level{access.View.String(): access.View, access.Use.String(): access.Use}

func (s *Server) registerShares() {
	for _, shared := range []struct {
		kind access.Kind
		path string
		tag  string
	}{{access.Node, "/api/nodes/{id}/shares", "nodes"}, {access.Image, "/api/images/{id}/shares", "images"}, {access.Lab, "/api/labs/{id}/shares", "labs"}} {
		register(s, huma.Operation{
			OperationID: "list-" + string(shared.kind) + "-shares", Method: http.MethodGet, Path: shared.path, Summary: "List the shares of the " + string(shared.kind), Tags: []string{shared.tag},
		}, func(ctx context.Context, in *struct {
			ID string `path:"id"`
		}) (*struct {
			Body struct {
				Shares []Share `json:"shares"`
			}
		}, error) {
			list, err := s.o.Access.Shares(ctx, shared.kind, in.ID)
			if err != nil {
				return nil, err
			}
			out := &struct {
				Body struct {
					Shares []Share `json:"shares"`
				}
			}{}
			out.Body.Shares = []Share{}
			for _, sh := range list {
				out.Body.Shares = append(out.Body.Shares, Share{User: sh.User, Group: sh.Group, Level: sh.Level.String(), Created: sh.Created.UTC()})
			}
			return out, nil
		})
		for _, to := range []struct {
			word    string
			grantee func(name string) access.Grantee
		}{
			{"user", func(name string) access.Grantee { return access.Grantee{User: name} }},
			{"group", func(name string) access.Grantee { return access.Grantee{Group: name} }},
		} {
			path := shared.path + "/" + to.word + "s/{name}"
			id := string(shared.kind) + "-with-" + to.word
			register(s, huma.Operation{
				OperationID: "share-" + id, Method: http.MethodPut, Path: path, Summary: "Share the " + string(shared.kind) + " with a " + to.word + ", or change the permission", Tags: []string{shared.tag},
				Description:   "view: see it, and watch a node's console and screen. use: also work with it. Sharing a lab also shares its nodes. Students can use at most, viewers can only view.",
				DefaultStatus: http.StatusNoContent,
			}, func(ctx context.Context, in *struct {
				ShareTarget
				Body struct {
					Level string `json:"level" enum:"view,use"`
				}
			}) (*struct{}, error) {
				defer s.rightsChanged()
				return nil, s.o.Access.SetShare(ctx, shared.kind, in.ID, to.grantee(in.Name), shareLevels[in.Body.Level])
			})
			register(s, huma.Operation{
				OperationID: "unshare-" + id, Method: http.MethodDelete, Path: path, Summary: "Stop sharing the " + string(shared.kind) + " with a " + to.word, Tags: []string{shared.tag},
				DefaultStatus: http.StatusNoContent,
			}, func(ctx context.Context, in *ShareTarget) (*struct{}, error) {
				defer s.rightsChanged()
				return nil, s.o.Access.RemoveShare(ctx, shared.kind, in.ID, to.grantee(in.Name))
			})
		}
	}
}

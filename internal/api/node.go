package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// Resources is a node's size.
type Resources struct {
	RAM  int64 `json:"ram" doc:"MiB"`
	CPUs int   `json:"cpus"`
	Disk int64 `json:"disk" doc:"Virtual size of the first disk in bytes."`
}

// NextSize is the size of a node after its next start.
type NextSize struct {
	RAM  int64 `json:"ram" doc:"MiB"`
	CPUs int   `json:"cpus"`
}

// NodeImage is the image that a node was created from.
type NodeImage struct {
	Type string `json:"type" enum:"base,custom"`
	ID   string `json:"id"`
	Name string `json:"name"`
	Path string `json:"path" doc:"Path of the image's file on the host."`
	Size int64  `json:"size" doc:"Size of the image's file in bytes; 0 if the image no longer exists."`
}

// NodeVNC is the address of a node's screen on the host: one of the two is set.
type NodeVNC struct {
	Port   int    `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"A TCP port of the host."`
	Socket string `json:"socket,omitempty" doc:"A Unix socket of the host, if the screen has no port."`
}

// Node is a node in the API.
type Node struct {
	ID          string     `json:"id" doc:"The domain's UUID."`
	Name        string     `json:"name"`
	State       string     `json:"state" enum:"running,stopped,paused,starting,stopping,crashed,unreachable"`
	Managed     bool       `json:"managed" doc:"False for domains that were created outside SandboxLabs and not adopted."`
	Host        string     `json:"host"`
	OSType      string     `json:"osType"`
	Image       *NodeImage `json:"image,omitempty"`
	OverlayPath string     `json:"overlayPath" doc:"File of the first disk, on the host."`
	Resources   Resources  `json:"resources"`
	Accelerator string     `json:"accelerator" doc:"kvm or qemu (software emulation)."`
	Console     struct {
		Available bool         `json:"available"`
		Ports     []SerialPort `json:"ports" doc:"The first one is the default."`
	} `json:"console"`
	VNC             *NodeVNC       `json:"vnc,omitempty" doc:"Present while the node has a screen."`
	Guacamole       *NodeGuacamole `json:"guacamole,omitempty" doc:"Present while Guacamole has a connection of the node."`
	Owner           string         `json:"owner"`
	Access          string         `json:"access" enum:"view,use,manage" doc:"What you may do with it."`
	Tags            []string       `json:"tags"`
	Addresses       []string       `json:"addresses"`
	Networks        []string       `json:"networks" doc:"The networks of its host that it is connected to."`
	Persist         bool           `json:"persistent" doc:"False for a transient domain, which is deleted when it stops."`
	Autostart       bool           `json:"autostart"`
	Created         *time.Time     `json:"created,omitempty"`
	Started         *time.Time     `json:"started,omitempty"`
	Firmware        string         `json:"firmware" enum:"bios,uefi,uefi-secure"`
	TPM             bool           `json:"tpm" doc:"Whether it has a TPM."`
	Description     string         `json:"description" doc:"As virsh desc shows it."`
	Snapshots       int            `json:"snapshots" doc:"Number of snapshots."`
	CurrentSnapshot string         `json:"currentSnapshot,omitempty" doc:"The current snapshot."`
	SavedState      bool           `json:"savedState" doc:"Whether the node is suspended to disk (virsh managedsave). It is stopped, and resumes from there at its next start."`
	Next            *NextSize      `json:"next,omitempty" doc:"Size after the next start, if it differs from now."`
	Problem         string         `json:"problem,omitempty" doc:"What is wrong with the node: what of its definition is not understood, or what is missing (a network, a file, memory), so that it cannot start."`
	Version         string         `json:"version" doc:"Changes with each PATCH. Send it as If-Match to refuse the change if another user made one meanwhile."`
	Warnings        []string       `json:"warnings" doc:"Risks of the node, in sentences."`
}

// node returns a node as a user can view it.
func (s *Server) node(rights access.Rights, n domain.Node) Node {
	v := Node{
		ID: n.ID, Name: n.Name, State: string(n.State), Managed: n.Managed, Host: n.Host, OSType: n.OSType,
		OverlayPath: n.OverlayPath, Resources: Resources{RAM: n.RAMMiB, CPUs: n.CPUs, Disk: n.DiskBytes},
		Version: nodeVersion(n), Accelerator: n.Accelerator, Owner: policy.OwnerName(s.o.Access, n.Owner, n.OwnerName), Access: rights.On(policy.NodeObject(n)).String(), Tags: append([]string{}, n.Tags...), Addresses: append([]string{}, n.Addresses...), Networks: append([]string{}, n.Networks...),
		Persist: n.Persistent, Autostart: n.Autostart, Created: instant(n.Created), Started: instant(n.Started), Problem: n.Problem,
		Firmware: cmp.Or(n.Firmware, definition.BIOS), TPM: n.TPM,
		Description: n.Description, Snapshots: n.Snapshots, CurrentSnapshot: n.CurrentSnapshot, SavedState: n.Saved && !n.Active(), Warnings: append([]string{}, s.o.Nodes.Warnings(n)...),
	}
	if n.Next != nil {
		v.Next = &NextSize{RAM: n.Next.RAMMiB, CPUs: n.Next.CPUs}
	}
	v.Console.Ports = serialPorts(n)
	v.Console.Available = slices.ContainsFunc(v.Console.Ports, func(p SerialPort) bool { return p.Available })
	if n.VNCPort > 0 || n.VNCSocket != "" {
		v.VNC = &NodeVNC{Port: n.VNCPort, Socket: n.VNCSocket}
	}
	v.Guacamole = s.guacamoleOf(n.ID)
	if n.Image.ID != "" {
		v.Image = &NodeImage{Type: n.Image.Type, ID: n.Image.ID, Name: n.Image.Name, Path: n.BackingPath}
		if img, err := s.o.Images.Image(n.Host, n.Image.ID); err == nil {
			v.Image.Size = img.FileBytes
		}
	}
	return v
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// NodeRequest is the request to create a node. All fields but the name and the image are optional.
type NodeRequest struct {
	Name            string `json:"name" limit:"nodeName" doc:"Letters, digits, dots, hyphens and underscores; at most 63." example:"web1"`
	ImageType       string `json:"imageType,omitempty" enum:"base,custom"`
	BaseImage       string `json:"baseImage,omitempty" doc:"Id of a base image." example:"micro"`
	CustomImageName string `json:"customImageName,omitempty" doc:"Id of a custom image."`
	Image           string `json:"image,omitempty" doc:"Id of an image of either type, instead of the three above."`
	OSType          string `json:"osType,omitempty" limit:"osType"`
	Firmware        string `json:"firmware,omitempty" enum:"bios,uefi,uefi-secure" doc:"uefi-secure is UEFI with Secure Boot. Defaults to the image's."`
	TPM             *bool  `json:"tpm,omitempty" doc:"Whether it has a TPM 2.0; as the image says when left out."`
	Resources       *struct {
		RAM  *int64 `json:"ram,omitempty" limit:"ram" doc:"MiB. Defaults to 1024." example:"1024"`
		CPUs *int   `json:"cpus,omitempty" limit:"cpus" doc:"Defaults to 1." example:"1"`
		Disk *int64 `json:"disk,omitempty" limit:"disk" doc:"Bytes. Defaults to the image's virtual size."`
	} `json:"resources,omitempty"`
	Host      string     `json:"host,omitempty" doc:"Defaults to the first host."`
	Network   string     `json:"network,omitempty" doc:"Name of a network of the host; none for a node without a network interface; or user (user-mode networking), if the operator allows it. Defaults to the default network."`
	CloudInit *CloudInit `json:"cloudInit,omitempty" doc:"For guests with cloud-init (NoCloud), and for micro."`
}

// CloudInit is the configuration for a guest's first boot, and for the first one after a wipe.
type CloudInit struct {
	Hostname      string   `json:"hostname,omitempty" limit:"hostname"`
	SSHKeys       []string `json:"sshKeys,omitempty" limit:"guestKeys" doc:"Public keys that may sign in as the image's default user."`
	UserData      string   `json:"userData,omitempty" doc:"A script (#!), a #cloud-config, or MIME parts; or such packed by gzip, in Base64. 256 KiB at most. Keys that cloud-init's modules don't know are named by the answer's warnings."`
	VendorData    string   `json:"vendorData,omitempty" doc:"As userData, which comes before it where both say something."`
	NetworkConfig string   `json:"networkConfig,omitempty" limit:"networkConfig" doc:"YAML of version 1 or 2, for guests with cloud-init; with or without the key network around it."`
}

func (r NodeRequest) spec() (domain.Spec, error) {
	spec := domain.Spec{Name: r.Name, Host: r.Host, ImageID: r.Image, ImageType: r.ImageType, OSType: r.OSType, Network: r.Network, Firmware: r.Firmware, TPM: r.TPM}
	if c := r.CloudInit; c != nil {
		spec.CloudInit = domain.CloudInit{Hostname: c.Hostname, SSHKeys: c.SSHKeys, UserData: c.UserData, VendorData: c.VendorData, NetworkConfig: c.NetworkConfig}
	}
	var ids []string
	for _, id := range []string{r.Image, r.BaseImage, r.CustomImageName} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0:
		return spec, fault.Field("image", "The node needs an image: set baseImage, customImageName or image.")
	case len(slices.Compact(ids)) > 1:
		return spec, fault.Field("image", "Set only one of baseImage, customImageName and image.")
	}
	spec.ImageID = ids[0]
	switch {
	case r.ImageType != "":
	case r.BaseImage != "":
		spec.ImageType = "base"
	case r.CustomImageName != "":
		spec.ImageType = "custom"
	}
	if r.Resources == nil {
		return spec, nil
	}
	if v := r.Resources.RAM; v != nil {
		spec.RAMMiB = domain.Given(*v)
	}
	if v := r.Resources.CPUs; v != nil {
		spec.CPUs = domain.Given(*v)
	}
	if v := r.Resources.Disk; v != nil {
		spec.DiskBytes = domain.Given(*v)
	}
	return spec, nil
}

// NodeID is the path of a node. It is exported because huma only reads exported embedded structs.
type NodeID struct {
	ID string `path:"id" doc:"The node's id: the domain's UUID."`
}

type nodeAnswer struct {
	ETag string `header:"ETag"`
	Body Node
}

type nodeList struct {
	Body struct {
		Nodes []Node `json:"nodes"`
		Next
	}
}

type forceBody struct {
	Force bool `json:"force,omitempty" doc:"Power off immediately instead of asking the guest to shut down. When wiping, also discard the saved state."`
}

func (s *Server) registerNodes() {
	register(s, huma.Operation{
		OperationID: "list-nodes", Method: http.MethodGet, Path: "/api/nodes", Summary: "List the nodes by name", Tags: []string{"nodes"},
	}, func(ctx context.Context, in *struct {
		Paging
		State string `query:"state" doc:"Only nodes in this state."`
	}) (*nodeList, error) {
		return s.listNodes(rightsOf(ctx), in.Paging, in.State)
	})
	register(s, huma.Operation{
		OperationID: "create-node", Method: http.MethodPost, Path: "/api/nodes", Summary: "Create a node", Tags: []string{"nodes"},
		Description:   "Its disk is a new overlay on an image. From an ISO image, it gets an empty disk, and the ISO in its optical drive.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A repeated request with the same key returns the node of the first one, as it is now. Such a key never expires."`
		Body           NodeRequest
	}) (*struct {
		Location string `header:"Location"`
		Replayed string `header:"Idempotency-Replayed" enum:"true" doc:"The node was created by an earlier request."`
		Body     Node
	}, error) {
		spec, err := in.Body.spec()
		if err != nil {
			return nil, err
		}
		rights := rightsOf(ctx)
		if err := s.o.Guard.UseImage(rights, spec.Host, spec.ImageID); err != nil {
			return nil, err
		}
		if err := s.o.Guard.Join(ctx, rightsOf(ctx), spec.Host, spec.Network); err != nil {
			return nil, err
		}
		spec.Owner, spec.IdempotencyKey = rights.OwnerID(), in.IdempotencyKey
		release, err := s.o.Quotas.NewNode(ctx, spec)
		if err != nil {
			return nil, err
		}
		defer release()
		n, existed, err := s.o.Nodes.Create(ctx, spec)
		if err == nil && !existed {
			err = s.o.Removals.NodeTraces(ctx, n.ID) // the id of an Idempotency-Key is not new each time
		}
		if err != nil {
			return nil, err
		}
		out := &struct {
			Location string `header:"Location"`
			Replayed string `header:"Idempotency-Replayed" enum:"true" doc:"The node was created by an earlier request."`
			Body     Node
		}{Location: "/api/nodes/" + n.ID, Body: s.node(rights, n)}
		out.Body.Warnings = append(out.Body.Warnings, spec.CloudInit.Warnings()...)
		if existed {
			out.Replayed, noteOf(ctx).replayed = "true", true
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "get-node", Method: http.MethodGet, Path: "/api/nodes/{id}", Summary: "Read a node", Tags: []string{"nodes"},
	}, func(ctx context.Context, in *NodeID) (*nodeAnswer, error) {
		return s.answer(ctx)(s.o.Nodes.Node(in.ID))
	})
	s.registerEdit()
	register(s, huma.Operation{
		OperationID: "delete-node", Method: http.MethodDelete, Path: "/api/nodes/{id}", Summary: "Delete a node with its overlay", Tags: []string{"nodes"},
		Description:   "A running node is powered off first, and a saved state (`savedState`) is discarded. Disks that were not created by SandboxLabs are kept. A node with snapshots is not deleted unless `snapshots` is true; the error lists them.",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		NodeID
		IfMatch
		Snapshots bool `query:"snapshots" doc:"Delete its snapshots too."`
	}) (*struct{}, error) {
		return nil, s.o.Removals.Node(ctx, in.ID, in.Snapshots, expectAll(in.IfMatch, nodeVersion)...)
	})
	register(s, huma.Operation{
		OperationID: "get-node-xml", Method: http.MethodGet, Path: "/api/nodes/{id}/xml", Summary: "Read the domain's XML, without secrets", Tags: []string{"nodes"},
		Description: "The current definition. Changes that take effect at the next start (`virsh … --config`) are only in the inactive one: use that one to replace it.",
		Responses:   map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/xml": {Schema: &huma.Schema{Type: "string"}}}}},
	}, func(ctx context.Context, in *struct {
		NodeID
		Inactive bool `query:"inactive" doc:"The definition of the next start."`
	}) (*nodeXML, error) {
		text, err := s.o.Nodes.XML(ctx, in.ID, in.Inactive)
		if err != nil {
			return nil, err
		}
		return &nodeXML{ContentType: "application/xml", ETag: `"` + domain.VersionOf(text) + `"`, Body: []byte(text)}, nil
	})
	s.registerLifecycle()
	s.registerTickets()
}

// nodeXML is a domain's XML.
type nodeXML struct {
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag"`
	Body        []byte
}

// startNode starts a node within the quota of its owner.
func (s *Server) startNode(ctx context.Context, id string) (domain.Node, error) {
	release, err := s.o.Quotas.Start(ctx, id)
	if err != nil {
		return domain.Node{}, err
	}
	defer release()
	return s.o.Nodes.Start(ctx, id)
}

// stopNode stops a node, which frees a part of its owner's quota.
func (s *Server) stopNode(ctx context.Context, id string, force bool) (domain.Node, error) {
	n, err := s.o.Nodes.Stop(ctx, id, force)
	if err == nil && !n.Active() {
		s.o.Quotas.NodeShrank(ctx, n)
	}
	return n, err
}

// suspendNode suspends a node to disk within its owner's quota: the saved state needs disk space,
// but the node no CPUs and RAM.
func (s *Server) suspendNode(ctx context.Context, id string) (domain.Node, error) {
	release, err := s.o.Quotas.Suspend(ctx, id)
	if err != nil {
		return domain.Node{}, err
	}
	defer release()
	n, err := s.o.Nodes.Suspend(ctx, id)
	if err == nil && !n.Active() {
		s.o.Quotas.NodeShrank(ctx, n)
	}
	return n, err
}

// registerLifecycle registers the operations that start, stop and suspend nodes.
func (s *Server) registerLifecycle() {
	plain := []struct {
		verb, summary string
		do            func(context.Context, string) (domain.Node, error)
	}{
		{"run", "Start a node; a running node is not changed", s.startNode},
		{"reboot", "Reboot the guest (ACPI)", s.o.Nodes.Reboot},
		{"reset", "Hard reset", s.o.Nodes.Reset},
		{"pause", "Pause the guest's CPUs", s.o.Nodes.Pause},
		{"resume", "Resume a paused guest", s.o.Nodes.Resume},
		{"suspend", "Suspend a node to disk: save its memory and stop it", s.suspendNode},
		{"adopt", "Adopt a domain that was created outside SandboxLabs", func(ctx context.Context, id string) (domain.Node, error) {
			who, _ := principalOf(ctx)
			return s.o.Nodes.Adopt(ctx, id, who.OwnerID())
		}},
	}
	discard := lifecycleOperation("discard-saved-state", "Discard a node's saved state: its next start boots it")
	discard.OperationID = "discard-saved-state"
	discard.Description = "For the guest this is like a power failure. A node without a saved state is not changed."
	register(s, discard, func(ctx context.Context, in *NodeID) (*nodeAnswer, error) {
		return s.answer(ctx)(s.o.Nodes.DiscardSavedState(ctx, in.ID))
	})
	for _, p := range plain {
		register(s, lifecycleOperation(p.verb, p.summary), func(ctx context.Context, in *NodeID) (*nodeAnswer, error) {
			return s.answer(ctx)(p.do(ctx, in.ID))
		})
	}
	forced := []struct {
		verb, summary string
		do            func(context.Context, string, bool) (domain.Node, error)
	}{
		{"stop", "Ask the guest to shut down (ACPI), or power off immediately", s.stopNode},
		{"wipe", "Wipe a node: restore the original image. Discarding a saved state requires force", s.o.Nodes.Wipe},
	}
	for _, f := range forced {
		register(s, lifecycleOperation(f.verb, f.summary), func(ctx context.Context, in *struct {
			NodeID
			Body *forceBody `required:"false"`
		}) (*nodeAnswer, error) {
			return s.answer(ctx)(f.do(ctx, in.ID, in.Body != nil && in.Body.Force))
		})
	}
}

func lifecycleOperation(verb, summary string) huma.Operation {
	return huma.Operation{
		OperationID: verb + "-node", Method: http.MethodPost, Path: "/api/nodes/{id}/" + verb, Summary: summary, Tags: []string{"nodes"},
	}
}

// answer returns a node, or the error, to the caller.
func (s *Server) answer(ctx context.Context) func(domain.Node, error) (*nodeAnswer, error) {
	return func(n domain.Node, err error) (*nodeAnswer, error) {
		if err != nil {
			return nil, err
		}
		return &nodeAnswer{ETag: etag(nodeVersion(n)), Body: s.node(rightsOf(ctx), n)}, nil
	}
}

// listNodes returns a page of the nodes that the caller can view, by name.
func (s *Server) listNodes(rights access.Rights, paging Paging, state string) (*nodeList, error) {
	seen := slices.DeleteFunc(s.o.Nodes.Nodes(), func(n domain.Node) bool {
		return (state != "" && state != string(n.State)) || rights.On(policy.NodeObject(n)) == access.None
	})
	// Two hosts have a node while it migrates.
	page, next, err := pageOf(paging, "nodes", seen, func(n domain.Node) string { return sortKey(n.Name, n.ID, n.Host) })
	if err != nil {
		return nil, err
	}
	out := &nodeList{}
	out.Body.Nodes, out.Body.Next = []Node{}, next
	for _, n := range page {
		out.Body.Nodes = append(out.Body.Nodes, s.node(rights, n))
	}
	return out, nil
}

// register adds an operation whose errors become problems.
func register[I, O any](s *Server, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	op.MaxBodyBytes = maxJSONBytes
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, op.Method+" "+op.Path, err)
		}
		return out, nil
	})
}

package main

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// The users in routeTable, in the order of its columns.
const (
	nobody      = iota
	expired     // an expired token of the owner
	viewer      // users of each role without a share …
	student     //
	instructor  //
	viewerUse   // … and users that the node and the image are shared with
	studentView // shared with their group
	studentUse
	owner
	admin
	readToken   // the owner's tokens with scope read …
	nodesToken  // … and with more scopes
	imagesToken //
	adminRead   // the administrator's token with scope read
	people
)

// routeRow is the expected response of a route to each user. The letter of a column means:
//
//	.  401: sign in
//	x  403: visible, but not allowed
//	-  404: not visible to them
//	+  allowed: the row's own status, which shows that the request passed the checks
type routeRow struct {
	may    string
	status int    // for +
	body   any    // of the request
	target string // what replaces {id}: "node" (the default), "image", "lab", "fresh node", "fresh image", "fresh lab", or an id
}

// routeTable has a row for every route. Rows with a fresh target change or delete the
// object, so each gets a new one.
var routeTable = map[string]routeRow{
	//                                               nobody, expired
	//                                               | strangers: viewer, student, instructor
	//                                               | |  shared with: viewer, student to view, student to use
	//                                               | |  |  owner, administrator
	//                                               | |  |  | the owner's tokens for reading, nodes, images
	//                                               | |  |  | |  the administrator's for reading
	"GET /api/health":             {may: "++++++++++++++", status: 200},
	"GET /api/openapi.json":       {may: "++++++++++++++", status: 200},
	"GET /api/docs":               {may: "++++++++++++++", status: 200},
	"POST /api/auth/login":        {may: "++++++++++++++", status: 422, body: request{}},
	"GET /api/auth/methods":       {may: "++++++++++++++", status: 200},
	"GET /api/auth/oidc/login":    {may: "++++++++++++++", status: 409}, // no provider is configured
	"GET /api/auth/oidc/callback": {may: "++++++++++++++", status: 409},
	"GET /metrics":                {may: "..xxxxxxx+xxx+", status: 200},

	"POST /api/auth/logout":          {may: "..++++++++++++", status: 204},
	"GET /api/auth/me":               {may: "..++++++++++++", status: 200},
	"PATCH /api/auth/me":             {may: "..++++++++xxxx", status: 200, body: request{}},
	"POST /api/auth/password":        {may: "..++++++++xxxx", status: 422, body: request{}},
	"GET /api/auth/sessions":         {may: "..++++++++++++", status: 200},
	"DELETE /api/auth/sessions/{id}": {may: "..++++++++xxxx", status: 404, target: noID},
	"POST /api/auth/totp":            {may: "..xxxxxxxxxxxx"}, // never allowed with a token; see TestConfirmation
	"POST /api/auth/totp/confirm":    {may: "..++++++++xxxx", status: 422, body: request{}},
	"POST /api/auth/confirm":         {may: "..++++++++++++", status: 409, body: request{"password": "x"}}, // tokens have no session
	"DELETE /api/auth/totp":          {may: "..++++++++xxxx", status: 422, body: request{}},
	"GET /api/tokens":                {may: "..++++++++++++", status: 200},
	"POST /api/tokens":               {may: "..++++++++xxxx", status: 422, body: request{}},
	"DELETE /api/tokens/{id}":        {may: "..++++++++xxxx", status: 404, target: noID},
	"GET /api/audit":                 {may: "..xxxxxxx+xxxx", status: 200},
	"GET /api/audit/export":          {may: "..xxxxxxx+xxxx", status: 200},

	"GET /api/users":                           {may: "..xx+xxx++++++", status: 200},
	"POST /api/users":                          {may: "..xxxxxxx+xxxx", status: 422, body: request{}},
	"GET /api/users/{name}":                    {may: "..xxxxxxx+xxxx", status: 404},
	"PATCH /api/users/{name}":                  {may: "..xxxxxxx+xxxx", status: 404, body: request{}},
	"DELETE /api/users/{name}":                 {may: "..xxxxxxx+xxxx", status: 404},
	"GET /api/users/{name}/owned":              {may: "..xxxxxxx+xxxx", status: 404},
	"DELETE /api/users/{name}/totp":            {may: "..xxxxxxx+xxxx", status: 404},
	"GET /api/groups":                          {may: "..xx+xxx++++++", status: 200},
	"POST /api/groups":                         {may: "..xxxxxxx+xxxx", status: 422, body: request{}},
	"DELETE /api/groups/{name}":                {may: "..xxxxxxx+xxxx", status: 404},
	"PUT /api/groups/{name}/members/{user}":    {may: "..xxxxxxx+xxxx", status: 404},
	"DELETE /api/groups/{name}/members/{user}": {may: "..xxxxxxx+xxxx", status: 404},

	"GET /api/nodes":                               {may: "..++++++++++++", status: 200},
	"POST /api/nodes":                              {may: "..xx+xxx++x+xx", status: 422, body: request{}},
	"GET /api/nodes/{id}":                          {may: "..---+++++++++", status: 200},
	"PATCH /api/nodes/{id}":                        {may: "..---xxx++x+xx", status: 422, body: request{"name": ""}},
	"DELETE /api/nodes/{id}":                       {may: "..---xxx++x+xx", status: 204, target: "fresh node"},
	"GET /api/nodes/{id}/xml":                      {may: "..---+++++++++", status: 200},
	"PUT /api/nodes/{id}/xml":                      {may: "..xxxxxxx+xxxx", status: 422, body: request{}},
	"GET /api/nodes/{id}/disks":                    {may: "..---+++++++++", status: 200},
	"POST /api/nodes/{id}/disks":                   {may: "..---xxx++x+xx", status: 422, body: request{"size": 1}},
	"DELETE /api/nodes/{id}/disks/{target}":        {may: "..---xxx++x+xx", status: 404},
	"PUT /api/nodes/{id}/media":                    {may: "..---xxx++x+xx", status: 200, body: request{"image": ""}},
	"GET /api/nodes/{id}/interfaces":               {may: "..---+++++++++", status: 200},
	"POST /api/nodes/{id}/interfaces":              {may: "..---xxx++x+xx", status: 422, body: request{"network": "/"}},
	"DELETE /api/nodes/{id}/interfaces/{mac}":      {may: "..---xxx++x+xx", status: 404},
	"GET /api/nodes/{id}/snapshots":                {may: "..---+++++++++", status: 200},
	"POST /api/nodes/{id}/snapshots":               {may: "..---xxx++x+xx", status: 422, body: request{"name": "/"}},
	"POST /api/nodes/{id}/snapshots/{name}/revert": {may: "..---xxx++x+xx", status: 404},
	"DELETE /api/nodes/{id}/snapshots/{name}":      {may: "..---xxx++x+xx", status: 404},
	"GET /api/nodes/{id}/screenshot":               {may: "..---+++++++++", status: 409},
	"GET /api/nodes/{id}/figures":                  {may: "..---+++++++++", status: 200},
	"GET /api/nodes/{id}/console/log":              {may: "..---+++++++++", status: 200},
	"GET /api/nodes/{id}/console/log/search":       {may: "..---+++++++++", status: 200},
	"POST /api/nodes/{id}/tickets":                 {may: "..---+++++++++", status: 201},
	"POST /api/nodes/{id}/guacamole":               {may: "..---xx+++x+xx", status: 409},
	"POST /api/nodes/{id}/run":                     {may: "..---xx+++x+xx", status: 200},
	"POST /api/nodes/{id}/stop":                    {may: "..---xx+++x+xx", status: 200, body: forced},
	"POST /api/nodes/{id}/reboot":                  {may: "..---xx+++x+xx", status: 409},
	"POST /api/nodes/{id}/reset":                   {may: "..---xx+++x+xx", status: 409},
	"POST /api/nodes/{id}/pause":                   {may: "..---xx+++x+xx", status: 409},
	"POST /api/nodes/{id}/suspend":                 {may: "..---xx+++x+xx", status: 409},
	"POST /api/nodes/{id}/discard-saved-state":     {may: "..---xx+++x+xx", status: 200},
	"POST /api/nodes/{id}/resume":                  {may: "..---xx+++x+xx", status: 409},
	"POST /api/nodes/{id}/wipe":                    {may: "..---xx+++x+xx", status: 200},
	"POST /api/nodes/{id}/adopt":                   {may: "..xxxxxxx+xxxx", status: 409},
	"GET /api/nodes/{id}/chain":                    {may: "..---+++++++++", status: 200},
	"POST /api/nodes/{id}/image":                   {may: "..xx-xxx++x+xx", status: 422, body: request{"name": ""}},
	"POST /api/nodes/{id}/clone":                   {may: "..xx-xxx++x+xx", status: 422, body: request{"name": "/"}},
	"GET /ws/console":                              {may: "..---+++++++++", status: 101},
	"GET /ws/vnc":                                  {may: "..---+++++++++", status: 101},

	"GET /api/nodes/{id}/shares":                   {may: "..---xxx++x+xx", status: 200},
	"PUT /api/nodes/{id}/shares/users/{name}":      {may: "..---xxx++x+xx", status: 404, body: request{"level": "use"}},
	"DELETE /api/nodes/{id}/shares/users/{name}":   {may: "..---xxx++x+xx", status: 404},
	"PUT /api/nodes/{id}/shares/groups/{name}":     {may: "..---xxx++x+xx", status: 404, body: request{"level": "use"}},
	"DELETE /api/nodes/{id}/shares/groups/{name}":  {may: "..---xxx++x+xx", status: 404},
	"GET /api/images/{id}/shares":                  {may: "..---xxx++xx+x", status: 200, target: "image"},
	"PUT /api/images/{id}/shares/users/{name}":     {may: "..---xxx++xx+x", status: 404, target: "image", body: request{"level": "use"}},
	"DELETE /api/images/{id}/shares/users/{name}":  {may: "..---xxx++xx+x", status: 404, target: "image"},
	"PUT /api/images/{id}/shares/groups/{name}":    {may: "..---xxx++xx+x", status: 404, target: "image", body: request{"level": "use"}},
	"DELETE /api/images/{id}/shares/groups/{name}": {may: "..---xxx++xx+x", status: 404, target: "image"},

	"GET /api/images":         {may: "..++++++++++++", status: 200},
	"POST /api/images/custom": {may: "..xx+xxx++xx+x", status: 422},
	"GET /api/images/{id}":    {may: "..---+++++++++", status: 200, target: "image"},
	"DELETE /api/images/{id}": {may: "..---xxx++xx+x", status: 204, target: "fresh image"},

	"POST /api/images/{id}/verify":   {may: "..---xxx++xx+x", status: 409, target: "image"},
	"POST /api/images/{id}/compact":  {may: "..---xxx++xx+x", status: 202, target: "fresh image"},
	"POST /api/images/{id}/resize":   {may: "..---xxx++xx+x", status: 422, target: "image", body: request{"virtualSize": 1}},
	"PATCH /api/images/{id}":         {may: "..---xxx++xx+x", status: 422, target: "image", body: request{"displayName": ""}},
	"GET /api/images/{id}/users":     {may: "..---+++++++++", status: 200, target: "image"},
	"GET /api/images/{id}/download":  {may: "..---xx+++xx+x", status: 200, target: "image"},
	"HEAD /api/images/{id}/download": {may: "..---xx+++xx+x", status: 200, target: "image"},

	"POST /api/uploads":        {may: "..xx+xxx++xx+x", status: 412},
	"HEAD /api/uploads/{id}":   {may: "..xx+xxx++xx+x", status: 404, target: noID},
	"PATCH /api/uploads/{id}":  {may: "..xx+xxx++xx+x", status: 412, target: noID},
	"DELETE /api/uploads/{id}": {may: "..xx+xxx++xx+x", status: 412, target: noID},

	"GET /api/images/catalog":            {may: "..++++++++++++", status: 200},
	"POST /api/images/catalog/{id}/pull": {may: "..xx+xxx++xx+x", status: 409, target: "micro"},

	"GET /api/jobs":              {may: "..++++++++++++", status: 200},
	"GET /api/jobs/{id}":         {may: "..++++++++++++", status: 404, target: "1"},
	"POST /api/jobs/{id}/cancel": {may: "..++++++++++++", status: 404, target: "1"},
	"DELETE /api/jobs/{id}":      {may: "..++++++++++++", status: 404, target: "1"},

	"GET /api/events":             {may: "..++++++++++++", status: 200},
	"GET /api/figures":            {may: "..++++++++++++", status: 200},
	"GET /api/networks":           {may: "..xx+xxx++++++", status: 200},
	"POST /api/networks":          {may: "..xx+xxx++x+xx", status: 422, body: request{"name": "/"}},
	"DELETE /api/networks/{name}": {may: "..xx+xxx++x+xx", status: 404},

	"GET /api/labs":                                {may: "..++++++++++++", status: 200},
	"POST /api/labs":                               {may: "..xx+xxx++x+xx", status: 422, body: request{"name": ""}},
	"POST /api/labs/import":                        {may: "..xx+xxx++x+xx", status: 422, body: request{}},
	"GET /api/labs/{id}":                           {may: "..---+++++++++", status: 200, target: "lab"},
	"PATCH /api/labs/{id}":                         {may: "..---xxx++x+xx", status: 422, target: "lab", body: request{"name": ""}},
	"DELETE /api/labs/{id}":                        {may: "..---xxx++x+xx", status: 204, target: "fresh lab"},
	"PUT /api/labs/{id}/nodes/{node}":              {may: "..---xxx++x+xx", status: 404, target: "lab", body: request{"x": 0, "y": 0}},
	"DELETE /api/labs/{id}/nodes/{node}":           {may: "..---xxx++x+xx", status: 404, target: "lab"},
	"POST /api/labs/{id}/networks":                 {may: "..---xxx++x+xx", status: 404, target: "lab", body: request{"x": 0, "y": 0, "host": "nosuch"}},
	"DELETE /api/labs/{id}/networks/{network}":     {may: "..---xxx++x+xx", status: 404, target: "lab"},
	"POST /api/labs/{id}/links":                    {may: "..---xxx++x+xx", status: 422, target: "lab", body: request{"from": "1", "to": "2"}},
	"DELETE /api/labs/{id}/links/{node}/{network}": {may: "..---xxx++x+xx", status: 404, target: "lab"},
	"PUT /api/labs/{id}/positions":                 {may: "..---xxx++x+xx", status: 204, target: "lab", body: request{"positions": []request{}}},
	"GET /api/labs/{id}/shares":                    {may: "..---xxx++x+xx", status: 200, target: "lab"},
	"PUT /api/labs/{id}/shares/users/{name}":       {may: "..---xxx++x+xx", status: 404, target: "lab", body: request{"level": "use"}},
	"DELETE /api/labs/{id}/shares/users/{name}":    {may: "..---xxx++x+xx", status: 404, target: "lab"},
	"PUT /api/labs/{id}/shares/groups/{name}":      {may: "..---xxx++x+xx", status: 404, target: "lab", body: request{"level": "use"}},
	"DELETE /api/labs/{id}/shares/groups/{name}":   {may: "..---xxx++x+xx", status: 404, target: "lab"},

	"GET /api/changes":               {may: "..xxxxxxx+xxx+", status: 200},
	"POST /api/changes/{id}/finish":  {may: "..xxxxxxx+xxxx", status: 404},
	"DELETE /api/changes/{id}":       {may: "..xxxxxxx+xxxx", status: 404},
	"GET /api/settings":              {may: "..xxxxxxx+xxxx", status: 200},
	"GET /api/guacamole":             {may: "..xxxxxxx+xxxx", status: 200},
	"POST /api/guacamole/sync":       {may: "..xxxxxxx+xxxx", status: 409},
	"GET /api/hosts":                 {may: "..xx+xxx++++++", status: 200},
	"POST /api/hosts/{host}/refresh": {may: "..xx+xxx++xx+x", status: 404},
}

// lastRoutes are called after all others, in this order, since they change the node.
var lastRoutes = []string{"POST /api/nodes/{id}/wipe", "POST /api/nodes/{id}/run", "POST /api/nodes/{id}/stop"}

// noID is an id that does not exist.
const noID = "00000000-0000-4000-8000-000000000000"

// school is a lab with sign-in and users.
type school struct {
	*lab
	bearer [people]string
}

// newSchool starts a service with an administrator.
func newSchool(t *testing.T) *school {
	t.Helper()
	return openSchool(newLab(t))
}

// openSchool is newSchool for a lab, with additional flags for the service.
func openSchool(l *lab, flags ...string) *school {
	t := l.t
	t.Helper()
	l.addMicro()
	l.auth = true
	l.launch(nil, flags...)
	l.awaitHealth("ok")
	match := printedPassword.FindStringSubmatch(l.service.out.String())
	if match == nil {
		t.Fatalf("the first start printed %q", l.service.out)
	}
	s := &school{lab: l}
	s.bearer[admin] = s.tokenOf("admin", match[1], nil)
	return s
}

// as returns the headers for a request of a user.
func (s *school) as(who int) []string {
	if s.bearer[who] == "" {
		return nil
	}
	return []string{"Authorization", "Bearer " + s.bearer[who]}
}

// owner returns the name of the account that owns the nodes. It is unique to this school,
// since a node's metadata gives its owner to every service of the machine.
func (s *school) owner() string { return s.name("owner") }

// enrol creates an account and returns a token for it.
func (s *school) enrol(name, role string) (bearer string) {
	s.t.Helper()
	password := "the password of " + name
	s.call(http.MethodPost, "/api/users", request{"name": name, "role": role, "password": password, "mustChangePassword": false}, http.StatusCreated, nil, s.as(admin)...)
	return s.tokenOf(name, password, nil)
}

// signIn returns the cookie of a new session.
func (s *school) signIn(name, password string) (cookie string) {
	s.t.Helper()
	a := s.call(http.MethodPost, "/api/auth/login", request{"username": name, "password": password}, http.StatusOK, nil)
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	return cookie
}

// tokenOf signs in and creates a token with the given fields.
func (s *school) tokenOf(name, password string, fields request) string {
	s.t.Helper()
	body := request{"name": "of the test"}
	maps.Copy(body, fields)
	var token api.Token
	s.call(http.MethodPost, "/api/tokens", body, http.StatusCreated, &token, "Cookie", s.signIn(name, password))
	return token.Secret
}

// furtherToken creates a token with another token.
func (s *school) furtherToken(who int, fields request) string {
	s.t.Helper()
	body := request{"name": "of the test"}
	maps.Copy(body, fields)
	var token api.Token
	s.call(http.MethodPost, "/api/tokens", body, http.StatusCreated, &token, s.as(who)...)
	return token.Secret
}

// nodeOf creates a node for a user.
func (s *school) nodeOf(who int, name string) api.Node {
	s.t.Helper()
	var n api.Node
	s.call(http.MethodPost, "/api/nodes", request{"name": s.name(name), "baseImage": "micro", "resources": request{"ram": 64}}, http.StatusCreated, &n, s.as(who)...)
	return n
}

// labOf creates a lab for a user and returns its id.
func (s *school) labOf(who int, name string) string {
	s.t.Helper()
	var made api.Lab
	s.call(http.MethodPost, "/api/labs", request{"name": s.name(name)}, http.StatusCreated, &made, s.as(who)...)
	return made.ID
}

// imageOf uploads an image as a user.
func (s *school) imageOf(who int, content []byte) api.Image {
	s.t.Helper()
	body, kind := form("mine.qcow2", bytes.NewReader(content))
	var up api.Uploaded
	s.call(http.MethodPost, "/api/images/custom", body, http.StatusCreated, &up, append(s.as(who), "Content-Type", kind)...)
	return up.Image
}

// share gives with ("users/ann", "groups/class") a right.
func (s *school) share(kind, id, with, level string) {
	s.t.Helper()
	s.call(http.MethodPut, "/api/"+kind+"/"+id+"/shares/"+with, request{"level": level}, http.StatusNoContent, nil, s.as(owner)...)
}

func (s *school) shareWithAll(kind, id string) {
	s.t.Helper()
	s.share(kind, id, "users/viewer-use", "use")
	s.share(kind, id, "groups/class", "view")
	s.share(kind, id, "users/student-use", "use")
}

// TestEveryRoute requests each route as each user.
func TestEveryRoute(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	for who, account := range map[int][2]string{
		viewer: {"viewer", "viewer"}, student: {"student", "student"}, instructor: {"instructor", "instructor"},
		viewerUse: {"viewer-use", "viewer"}, studentView: {"student-view", "student"}, studentUse: {"student-use", "student"}, owner: {s.owner(), "instructor"},
	} {
		s.bearer[who] = s.enrol(account[0], account[1])
	}
	s.call(http.MethodPost, "/api/groups", request{"name": "class"}, http.StatusCreated, nil, s.as(admin)...)
	s.call(http.MethodPut, "/api/groups/class/members/student-view", nil, http.StatusNoContent, nil, s.as(admin)...)
	s.bearer[expired] = s.furtherToken(owner, request{"expires": time.Now().Add(2 * time.Second).UTC()})
	spent := time.Now().Add(2 * time.Second)
	s.bearer[readToken] = s.furtherToken(owner, request{"scopes": []string{"read"}})
	s.bearer[nodesToken] = s.furtherToken(owner, request{"scopes": []string{"nodes"}})
	s.bearer[imagesToken] = s.furtherToken(owner, request{"scopes": []string{"images"}})
	s.bearer[adminRead] = s.furtherToken(admin, request{"scopes": []string{"read"}})
	blank := s.qemuImage("1M")
	node, image := s.nodeOf(owner, "one"), s.imageOf(owner, blank)
	s.shareWithAll("nodes", node.ID)
	s.shareWithAll("images", image.ID)
	drawn := s.labOf(owner, "one")
	s.shareWithAll("labs", drawn)
	time.Sleep(time.Until(spent)) // no event reports that a token has expired

	known := map[string]bool{"GET /metrics": true, "GET /api/openapi.json": true, "GET /api/docs": true}
	for _, op := range s.operations() {
		known[op.method+" "+op.path] = true
		if _, ok := routeTable[op.method+" "+op.path]; !ok {
			t.Errorf("%s %s has no row in routeTable, so nothing shows who may use it", op.method, op.path)
		}
	}
	for route := range routeTable {
		if !known[route] {
			t.Errorf("routeTable has a row of %s, which is not a route", route)
		}
	}
	routes := slices.DeleteFunc(slices.Sorted(maps.Keys(routeTable)), func(route string) bool { return slices.Contains(lastRoutes, route) })
	fresh := 0
	for _, route := range append(routes, lastRoutes...) {
		row := routeTable[route]
		if len(row.may) != people {
			t.Errorf("%s: the row has %d columns", route, len(row.may))
			continue
		}
		for who := range people {
			allowed := row.may[who] == '+'
			target := row.target
			switch target {
			case "":
				target = node.ID
			case "image":
				target = image.ID
			case "lab":
				target = drawn
			case "fresh lab":
				if target = drawn; allowed {
					target = s.labOf(owner, "fresh")
				}
			case "fresh node":
				if target = node.ID; allowed {
					fresh++
					target = s.nodeOf(owner, "fresh"+strconv.Itoa(fresh)).ID
				}
			case "fresh image":
				if target = image.ID; allowed {
					target = s.imageOf(owner, blank).ID
				}
			}
			want := map[byte]int{'.': 401, 'x': 403, '-': 404, '+': row.status}[row.may[who]]
			if got := s.ask(route, target, row.body, who); got != want {
				t.Errorf("%s as %d (%c): status %d, want %d", route, who, row.may[who], got, want)
			}
		}
	}
}

// ask requests a route and returns the status.
func (s *school) ask(route, target string, body any, who int) int {
	s.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	if strings.HasPrefix(path, "/ws/") {
		header := http.Header{}
		if h := s.as(who); h != nil {
			header.Set(h[0], h[1])
		}
		socket, a, err := s.dialSocket(path, url.Values{"nodeId": {target}}, header)
		if err == nil {
			_ = socket.CloseNow()
		}
		return a.status
	}
	path = placeholder.ReplaceAllString(strings.Replace(path, "{id}", target, 1), "nosuch")
	if path == "/api/events" {
		return s.status(method, path, who)
	}
	if strings.HasSuffix(path, "/search") {
		path += "?text=x"
	}
	return s.send(method, path, body, s.as(who)...).status
}

// status is ask for an endless response.
func (s *school) status(method, path string, who int) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if h := s.as(who); h != nil {
		req.Header.Set(h[0], h[1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

package guacamole

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// groupName is the initial name of our group, which may be renamed and moved.
const groupName = "SandboxLabs"

// Sync compares Guacamole's database with the nodes once, and writes the differences: each
// node and each user in one transaction. It may run in several processes at once. Its
// error says what to do about it.
func (s *Service) Sync(ctx context.Context) (Report, error) {
	return s.inTurn(ctx, Report{})
}

// Compare returns what Sync would do, without writing.
func (s *Service) Compare(ctx context.Context) (Report, error) {
	return s.inTurn(ctx, Report{dry: true})
}

func (s *Service) inTurn(ctx context.Context, report Report) (Report, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return report, ctx.Err()
	}
	defer func() { <-s.turn }()
	begin, sent := time.Now(), s.sent.n.Load()
	have, err := s.pass(ctx, &report)
	report.Duration, report.Statements = time.Since(begin), s.sent.n.Load()-sent
	if ctx.Err() != nil {
		return report, ctx.Err()
	}
	err = s.explain(err)
	s.passed(ctx, err, have)
	for _, p := range report.Problems {
		s.o.Log.WarnContext(ctx, "a part of Guacamole's database is not in sync; retrying", "problem", p)
	}
	return report, err
}

// pass runs Sync; the caller holds the turn.
func (s *Service) pass(ctx context.Context, report *Report) (*contents, error) {
	viewers, err := s.o.Viewers.Viewers(ctx)
	peopleKnown := err == nil
	if !peopleKnown {
		// Removing connections comes first: a connection must not outlive its node.
		report.Problems = append(report.Problems, "who may see the nodes cannot be read: "+err.Error())
	}
	p, err := s.collect(ctx, viewers, report)
	if err != nil {
		return nil, err
	}
	have, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if have.group == 0 && !report.dry {
		if have.group, err = s.makeGroup(ctx); err != nil {
			return nil, err
		}
	}
	// Removals come first.
	err = s.removeConnections(ctx, p, have, report)
	users := have.users
	if !peopleKnown {
		users = nil
	} else if err == nil {
		err = s.syncUsers(ctx, viewers, have, report)
	}
	if err == nil {
		err = s.putConnections(ctx, p.want, have, users, report)
	}
	if !report.dry {
		s.publish(have, peopleKnown)
	}
	return have, err
}

// read is readContents with a timeout.
func (s *Service) read(ctx context.Context) (*contents, error) {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	return readContents(ctx, s.pool)
}

// makeGroup creates our group, unless another service has created it meanwhile.
func (s *Service) makeGroup(ctx context.Context) (id int, err error) {
	err = s.inTransaction(ctx, func(tx pgx.Tx) error {
		if id, err = readGroup(ctx, tx); err != nil || id != 0 {
			return err
		}
		const insert = `INSERT INTO guacamole_connection_group (connection_group_name, type) VALUES ($1, 'ORGANIZATIONAL') RETURNING connection_group_id`
		if err := tx.QueryRow(ctx, insert, groupName).Scan(&id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO guacamole_connection_group_attribute (connection_group_id, attribute_name, attribute_value) VALUES ($1, $2, $3)`,
			id, groupMark, groupMarkValue)
		return err
	})
	return id, err
}

// tolerate records an error that concerns one row, and returns any other: a row that the
// database refuses must not block the others.
func tolerate(err error, what string, report *Report) error {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code != "42501" && !strings.HasPrefix(refusal.Code, "57") { // insufficient rights; the server is shutting down
		report.Problems = append(report.Problems, what+": "+err.Error())
		return nil
	}
	return err
}

// removeConnections removes the connections of nodes that are off or gone.
func (s *Service) removeConnections(ctx context.Context, p plan, have *contents, report *Report) error {
	for node, c := range have.connections {
		if p.unknown[c.host] && !slices.Contains(report.UnknownHosts, c.host) {
			report.UnknownHosts = append(report.UnknownHosts, c.host)
		}
		if _, wanted := p.want[node]; wanted || p.leave[node] || p.unknown[c.host] {
			continue
		}
		if report.dry {
			report.Removed++
			continue
		}
		err := s.inTransaction(ctx, func(tx pgx.Tx) error {
			byNode, surplus, err := readConnections(ctx, tx, node)
			if err != nil {
				return err
			}
			ids := surplus[node]
			if c, there := byNode[node]; there {
				ids = append(ids, c.id)
			}
			_, err = tx.Exec(ctx, `DELETE FROM guacamole_connection WHERE connection_id = ANY ($1)`, ids)
			return err
		})
		if err := tolerate(err, "remove the connection of node "+node, report); err != nil {
			return err
		}
		if err == nil {
			delete(have.connections, node)
			report.Removed++
		}
	}
	return nil
}

// putConnections creates and updates connections.
func (s *Service) putConnections(ctx context.Context, want map[string]wanted, have *contents, users map[string]user, report *Report) error {
	for _, node := range slices.Sorted(maps.Keys(want)) {
		w := want[node]
		old, there := have.connections[node]
		if w.off && !there {
			continue
		}
		change := compare(old, w, have.group, have.names, users)
		if there && len(have.surplus[node]) == 0 && change.none() {
			continue
		}
		if report.dry {
			if there {
				report.Updated++
			} else {
				report.Made++
			}
			continue
		}
		if err := s.closeScreens(ctx, old.id, accountsOf(users, change.revoke), report); err != nil {
			report.Problems = append(report.Problems, "close the open screens of node "+node+": "+err.Error())
		}
		var now connection
		err := s.inTransaction(ctx, func(tx pgx.Tx) (err error) {
			now, err = putConnection(ctx, tx, w, have.group, users)
			return err
		})
		if err := tolerate(err, "write the connection of node "+node, report); err != nil {
			return err
		}
		switch {
		case err != nil:
			continue
		case now.id == 0: // the node is off, and another service removed it
			delete(have.connections, node)
			continue
		case there:
			report.Updated++
		default:
			report.Made++
		}
		have.connections[node] = now
	}
	return nil
}

// accountsOf returns the accounts of our entities.
func accountsOf(users map[string]user, entities []int) (accounts []string) {
	for account, u := range users {
		if slices.Contains(entities, u.entity) {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// putConnection creates or updates one connection, and returns its resulting id and name.
// It reads the row again, because another service may have written it since.
func putConnection(ctx context.Context, tx pgx.Tx, w wanted, group int, users map[string]user) (connection, error) {
	node := w.node.ID
	byNode, surplus, err := readConnections(ctx, tx, node)
	if err != nil {
		return connection{}, err
	}
	have, there := byNode[node]
	if w.off && !there {
		return connection{}, nil
	}
	names, err := readNames(ctx, tx, group, w.names)
	if err != nil {
		return connection{}, err
	}
	c := compare(have, w, group, names, users)
	var b pgx.Batch
	if !there {
		const insert = `INSERT INTO guacamole_connection (connection_name, parent_id, protocol, proxy_hostname, proxy_port, proxy_encryption_method)
			VALUES ($1, $2, $3, $4, $5, $6::guacamole_proxy_encryption_method) RETURNING connection_id`
		if err := tx.QueryRow(ctx, insert, append([]any{c.name, group, protocol}, w.guacd.columns()...)...).Scan(&have.id); err != nil {
			return connection{}, err
		}
		attributes := [2][]string{{nodeMark, connectionMark}, {node, fmt.Sprint(have.id)}}
		b.Queue(`INSERT INTO guacamole_connection_attribute (connection_id, attribute_name, attribute_value) SELECT $1::int, * FROM unnest($2::text[], $3::text[])`,
			have.id, attributes[0], attributes[1])
	} else if c.row {
		b.Queue(`UPDATE guacamole_connection SET connection_name = $2, parent_id = $3, protocol = $4,
			proxy_hostname = $5, proxy_port = $6, proxy_encryption_method = $7::guacamole_proxy_encryption_method
			WHERE connection_id = $1`, append([]any{have.id, c.name, group, protocol}, w.guacd.columns()...)...)
	}
	if ids := surplus[node]; len(ids) > 0 {
		b.Queue(`DELETE FROM guacamole_connection WHERE connection_id = ANY ($1)`, ids)
	}
	if c.host {
		b.Queue(`INSERT INTO guacamole_connection_attribute (connection_id, attribute_name, attribute_value) VALUES ($1, $2, $3)
			ON CONFLICT (connection_id, attribute_name) DO UPDATE SET attribute_value = EXCLUDED.attribute_value`, have.id, hostMark, w.node.Host)
	}
	if len(c.set) > 0 {
		names := slices.Sorted(maps.Keys(c.set))
		values := make([]string, len(names))
		for i, n := range names {
			values[i] = c.set[n]
		}
		b.Queue(`INSERT INTO guacamole_connection_parameter (connection_id, parameter_name, parameter_value) SELECT $1::int, * FROM unnest($2::text[], $3::text[])
			ON CONFLICT (connection_id, parameter_name) DO UPDATE SET parameter_value = EXCLUDED.parameter_value`, have.id, names, values)
	}
	if len(c.drop) > 0 {
		b.Queue(`DELETE FROM guacamole_connection_parameter WHERE connection_id = $1 AND parameter_name = ANY ($2)`, have.id, c.drop)
	}
	if len(c.grant) > 0 {
		b.Queue(`INSERT INTO guacamole_connection_permission (entity_id, connection_id, permission)
			SELECT unnest($2::int[]), $1::int, 'READ'::guacamole_object_permission_type ON CONFLICT DO NOTHING`, have.id, c.grant)
	}
	if len(c.revoke) > 0 {
		b.Queue(`DELETE FROM guacamole_connection_permission WHERE connection_id = $1 AND entity_id = ANY ($2) AND permission = 'READ'`, have.id, c.revoke)
	}
	have.name, have.host = c.name, w.node.Host
	return have, sendAll(ctx, tx, &b)
}

// columns are the values of proxy_hostname, proxy_port and proxy_encryption_method.
func (g Guacd) columns() []any {
	switch {
	case g == (Guacd{}):
		return []any{nil, nil, nil}
	case g.TLS:
		return []any{g.Host, g.Port, "SSL"}
	default:
		return []any{g.Host, g.Port, "NONE"}
	}
}

// syncUsers creates, renames and removes users, and lets them see the group.
func (s *Service) syncUsers(ctx context.Context, viewers []Viewer, have *contents, report *Report) error {
	seen := map[string]bool{}
	for _, v := range viewers {
		seen[v.ID] = true
		if u, there := have.users[v.ID]; there && u.seesGroup && slices.Contains(userNames(v), u.name) {
			continue
		}
		if report.dry {
			report.Users++
			continue
		}
		var now user
		err := s.inTransaction(ctx, func(tx pgx.Tx) (err error) {
			now, err = putUser(ctx, tx, v, have.group)
			return err
		})
		if err := tolerate(err, "write the user of account "+v.ID, report); err != nil {
			return err
		}
		if err == nil {
			have.users[v.ID] = now
			report.Users++
		}
	}
	for account := range have.users {
		if seen[account] {
			continue
		}
		if report.dry {
			report.Users++
			continue
		}
		err := s.inTransaction(ctx, func(tx pgx.Tx) error {
			users, err := readUsers(ctx, tx, have.group)
			if err != nil {
				return err
			}
			// Delete the entity, not the user: the entity of a deleted user would remain,
			// and its name could never be used again.
			_, err = tx.Exec(ctx, `DELETE FROM guacamole_entity WHERE entity_id = $1`, users[account].entity)
			return err
		})
		if err := tolerate(err, "remove the user of account "+account, report); err != nil {
			return err
		}
		if err == nil {
			delete(have.users, account)
			report.Users++
		}
	}
	return nil
}

// userNames returns the possible names for an account's user, the preferred one first: a
// user that others created is never taken over.
func userNames(v Viewer) []string {
	name := clean(v.Name)
	return []string{fit(name, ""), fit(name, " ("+groupName+")"), fit(name, " ("+v.ID+")")}
}

// putUser creates or updates one user.
func putUser(ctx context.Context, tx pgx.Tx, v Viewer, group int) (user, error) {
	users, err := readUsers(ctx, tx, group)
	if err != nil {
		return user{}, err
	}
	u, there := users[v.ID]
	names := userNames(v)
	if !slices.Contains(names, u.name) {
		// Guacamole can be configured to ignore case.
		rows, err := tx.Query(ctx, `SELECT lower(name) FROM guacamole_entity WHERE type = 'USER' AND lower(name) = ANY ($1) AND entity_id <> $2`, lowered(names), u.entity)
		if err != nil {
			return user{}, err
		}
		taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return user{}, err
		}
		u.name = names[len(names)-1]
		for _, n := range names {
			if !slices.Contains(taken, strings.ToLower(n)) {
				u.name = n
				break
			}
		}
		if there {
			if _, err := tx.Exec(ctx, `UPDATE guacamole_entity SET name = $2 WHERE entity_id = $1`, u.entity, u.name); err != nil {
				return user{}, err
			}
		}
	}
	if !there {
		u.account = v.ID
		if u.entity, err = insertUser(ctx, tx, u); err != nil {
			return user{}, err
		}
	}
	u.seesGroup = true
	_, err = tx.Exec(ctx, `INSERT INTO guacamole_connection_group_permission (entity_id, connection_group_id, permission) VALUES ($1, $2, 'READ') ON CONFLICT DO NOTHING`, u.entity, group)
	return u, err
}

// insertUser creates a user whose password nobody can know: its hash is random.
func insertUser(ctx context.Context, tx pgx.Tx, u user) (entity int, err error) {
	if err := tx.QueryRow(ctx, `INSERT INTO guacamole_entity (name, type) VALUES ($1, 'USER') RETURNING entity_id`, u.name).Scan(&entity); err != nil {
		return 0, err
	}
	hash, salt := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(hash) // it never fails
	_, _ = rand.Read(salt)
	var id int
	const insert = `INSERT INTO guacamole_user (entity_id, password_hash, password_salt, password_date) VALUES ($1, $2, $3, now()) RETURNING user_id`
	if err := tx.QueryRow(ctx, insert, entity, hash, salt).Scan(&id); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO guacamole_user_attribute (user_id, attribute_name, attribute_value) VALUES ($1, $2, $3), ($1, $4, $5)`,
		id, accountMark, u.account, entityMark, fmt.Sprint(entity))
	return entity, err
}

func lowered(names []string) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = strings.ToLower(n)
	}
	return list
}

// publish updates the links and the status, and calls Changed for the nodes whose link
// changed.
func (s *Service) publish(have *contents, peopleKnown bool) {
	links := make(map[string]Link, len(have.connections))
	for node, c := range have.connections {
		links[node] = Link{ConnectionID: c.id, URL: s.clientURL(c.id)}
	}
	names := make(map[string]string, len(have.users))
	for account, u := range have.users {
		names[account] = u.name
	}
	s.mu.Lock()
	old := s.links
	s.links = links
	if peopleKnown {
		s.names = names
	}
	s.mu.Unlock()
	for node, l := range links {
		if old[node] != l {
			s.o.Changed(node)
		}
		delete(old, node)
	}
	for node := range old {
		s.o.Changed(node)
	}
}

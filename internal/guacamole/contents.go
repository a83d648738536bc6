package guacamole

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// The attributes that mark a row as ours. Guacamole keeps unknown attributes, and copies
// them when someone clones a connection or a user. So a second attribute contains the
// row's own id, and the copy does not count as ours.
const (
	groupMark      = "sandboxlabs-group"      // value: groupMarkValue
	nodeMark       = "sandboxlabs-node"       // the node's id
	connectionMark = "sandboxlabs-connection" // the connection's own id
	hostMark       = "sandboxlabs-host"       // the node's host
	accountMark    = "sandboxlabs-account"    // the account's id
	entityMark     = "sandboxlabs-entity"     // the user's own entity id

	groupMarkValue = "nodes"
)

// connection is a connection that SandboxLabs created in Guacamole's database.
type connection struct {
	id         int
	name       string
	parent     int // 0: at the top level
	protocol   string
	guacd      Guacd             // the guacd that shows it; the zero value: the web application's default
	host       string            // of the node
	parameters map[string]string // all parameters, including those that others have set
	readers    []int             // the entities that may open it, including those of others
}

// user is a user that SandboxLabs created in Guacamole's database.
type user struct {
	entity    int
	account   string
	name      string
	seesGroup bool
}

// contents are our rows in Guacamole's database.
type contents struct {
	group       int // 0: does not exist
	users       map[string]user
	connections map[string]connection // by node id
	// surplus has the ids of additional connections of a node, which should not exist.
	surplus map[string][]int
	// names has the ids of the group's connections by name, including those of others.
	names map[string]int
}

const (
	selectGroup = `
SELECT g.connection_group_id
  FROM guacamole_connection_group g
  JOIN guacamole_connection_group_attribute a USING (connection_group_id)
 WHERE a.attribute_name = '` + groupMark + `' AND a.attribute_value = '` + groupMarkValue + `'
 ORDER BY g.connection_group_id LIMIT 1`

	selectUsers = `
SELECT e.entity_id, e.name, a.attribute_value,
       EXISTS (SELECT FROM guacamole_connection_group_permission p
                WHERE p.entity_id = e.entity_id AND p.connection_group_id = $1 AND p.permission = 'READ')
  FROM guacamole_user_attribute a
  JOIN guacamole_user u USING (user_id)
  JOIN guacamole_entity e USING (entity_id)
  JOIN guacamole_user_attribute own ON own.user_id = u.user_id
       AND own.attribute_name = '` + entityMark + `' AND own.attribute_value = e.entity_id::text
 WHERE a.attribute_name = '` + accountMark + `'
 ORDER BY e.entity_id`

	// $1 is a node's id, or empty for all.
	selectConnections = `
SELECT c.connection_id, c.connection_name, COALESCE(c.parent_id, 0), c.protocol,
       COALESCE(c.proxy_hostname, ''), COALESCE(c.proxy_port, 0), COALESCE(c.proxy_encryption_method = 'SSL', false), a.attribute_value, COALESCE(h.attribute_value, ''),
       COALESCE((SELECT json_object_agg(p.parameter_name, p.parameter_value)
                   FROM guacamole_connection_parameter p WHERE p.connection_id = c.connection_id), '{}'),
       ARRAY(SELECT p.entity_id FROM guacamole_connection_permission p
              WHERE p.connection_id = c.connection_id AND p.permission = 'READ')
  FROM guacamole_connection_attribute a
  JOIN guacamole_connection c USING (connection_id)
  JOIN guacamole_connection_attribute own ON own.connection_id = c.connection_id
       AND own.attribute_name = '` + connectionMark + `' AND own.attribute_value = c.connection_id::text
  LEFT JOIN guacamole_connection_attribute h ON h.connection_id = c.connection_id AND h.attribute_name = '` + hostMark + `'
 WHERE a.attribute_name = '` + nodeMark + `' AND ($1 = '' OR a.attribute_value = $1)
 ORDER BY c.connection_id`

	// $2 are the names, or NULL for all.
	selectNames = `
SELECT connection_name, connection_id FROM guacamole_connection
 WHERE parent_id = $1 AND ($2::text[] IS NULL OR connection_name = ANY ($2))`
)

// database is a pool or a transaction.
type database interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// readContents reads all our rows in Guacamole's database.
func readContents(ctx context.Context, db database) (*contents, error) {
	c := &contents{users: map[string]user{}}
	var err error
	if c.group, err = readGroup(ctx, db); err != nil {
		return nil, err
	}
	if c.users, err = readUsers(ctx, db, c.group); err != nil {
		return nil, err
	}
	if c.connections, c.surplus, err = readConnections(ctx, db, ""); err != nil {
		return nil, err
	}
	c.names, err = readNames(ctx, db, c.group, nil)
	return c, err
}

// readGroup returns the id of our group, or 0 if it does not exist.
func readGroup(ctx context.Context, db database) (id int, err error) {
	rows, err := db.Query(ctx, selectGroup)
	if err != nil {
		return 0, err
	}
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error { return nil })
	return id, err
}

// readUsers returns our users by account.
func readUsers(ctx context.Context, db database, group int) (map[string]user, error) {
	rows, err := db.Query(ctx, selectUsers, group)
	if err != nil {
		return nil, err
	}
	users := map[string]user{}
	var u user
	_, err = pgx.ForEachRow(rows, []any{&u.entity, &u.name, &u.account, &u.seesGroup}, func() error {
		if _, known := users[u.account]; !known {
			users[u.account] = u
		}
		return nil
	})
	return users, err
}

// readConnections returns our connections by node id, and the ids of a node's additional
// ones. node is a node's id, or empty for all.
func readConnections(ctx context.Context, db database, node string) (byNode map[string]connection, surplus map[string][]int, err error) {
	rows, err := db.Query(ctx, selectConnections, node)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	byNode, surplus = map[string]connection{}, map[string][]int{}
	for rows.Next() {
		var c connection
		var node string
		if err := rows.Scan(&c.id, &c.name, &c.parent, &c.protocol, &c.guacd.Host, &c.guacd.Port, &c.guacd.TLS, &node, &c.host, &c.parameters, &c.readers); err != nil {
			return nil, nil, err
		}
		if _, known := byNode[node]; known {
			surplus[node] = append(surplus[node], c.id)
			continue
		}
		byNode[node] = c
	}
	return byNode, surplus, rows.Err()
}

// readNames returns the ids of the group's connections with the given names, or of all if
// names is nil.
func readNames(ctx context.Context, db database, group int, some []string) (map[string]int, error) {
	rows, err := db.Query(ctx, selectNames, group, some)
	if err != nil {
		return nil, err
	}
	names := map[string]int{}
	var name string
	var id int
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		names[name] = id
		return nil
	})
	return names, err
}

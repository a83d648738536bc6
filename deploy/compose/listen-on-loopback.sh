# Lets Guacamole's Tomcat listen on 127.0.0.1 only. The container's entrypoint sources this file
# after it has made Tomcat's configuration and before it starts Tomcat. Where the configuration is
# not the expected one, the container does not start: on the host's network it would listen to all.
# shellcheck shell=bash

listen_on_loopback() {
	local config=$CATALINA_BASE/conf/server.xml
	# Tomcat's other port ends it on request of any program of the host; -1 closes it.
	sed -i -e 's/<Server port="8005"/<Server port="-1"/' -e 's/<Connector port="8080"/& address="127.0.0.1"/' "$config" || return
	[ "$(grep -o '<Connector port="8080" address="127.0.0.1"' "$config" | wc -l)" = 1 ] || return
	# No connector without this address, outside of comments.
	! sed -e 's/<!--.*-->//' -e '/<!--/,/-->/d' "$config" | grep '<Connector' | grep -qv 'address="127.0.0.1"'
}

if ! listen_on_loopback; then
	echo "listen-on-loopback: $CATALINA_BASE/conf/server.xml is not as expected; Guacamole does not start" >&2
	exit 1
fi

package host

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// known are services whose units start something that goes to the background
// or hides the real program: how they start in a container.
func (m *Machine) known(name string) []Service {
	switch name {
	case "nginx":
		return m.nginx()
	case "postgresql":
		return m.postgresql()
	case "apache2":
		return []Service{{
			Name: name, Command: "apache2ctl -D FOREGROUND", User: "www-data", Stop: "WINCH", From: "apache2",
			runDirs: []string{"apache2", "lock/apache2"}, ports: []uint32{80},
		}}
	case "mariadb", "mysql":
		program := "mysqld"
		if m.exists("usr/sbin/mariadbd") {
			program = "mariadbd"
		}
		return []Service{{
			Name: name, Command: program, User: "mysql", From: name, runDirs: []string{"mysqld"}, state: []string{"/var/lib/mysql"},
		}}
	case "redis-server", "redis":
		return []Service{{
			Name: "redis", Command: "redis-server /etc/redis/redis.conf --daemonize no --supervised no", User: "redis", From: name,
			runDirs: []string{"redis"}, state: []string{"/var/lib/redis"},
		}}
	}
	return nil
}

var listenDirective = regexp.MustCompile(`(?m)^\s*listen\s+(?:[^\s;]*:)?([0-9]{1,5})\b`)

func (m *Machine) nginx() []Service {
	if !m.exists("etc/nginx/nginx.conf") {
		return nil
	}
	s := Service{
		Name: "nginx", Command: "nginx -g 'daemon off;'", User: "www-data", Stop: "QUIT", From: "nginx", scratch: []string{"/var/lib/nginx"},
	}
	files := []string{"etc/nginx/nginx.conf"}
	for _, dir := range []string{"etc/nginx/conf.d", "etc/nginx/sites-enabled"} {
		for _, name := range m.names(dir) {
			files = append(files, path.Join(dir, name))
		}
	}
	for _, file := range files {
		for _, match := range listenDirective.FindAllSubmatch(m.read(file), -1) {
			if number, err := strconv.ParseUint(string(match[1]), 10, 16); err == nil && number > 0 && !slices.Contains(s.ports, uint32(number)) {
				s.ports = append(s.ports, uint32(number))
			}
		}
	}
	return []Service{s}
}

// postgresql starts each cluster of Debian's layout itself: its unit calls a
// script that needs rights a container does not give. A key for TLS is the
// machine's, so TLS is for whatever stands in front.
func (m *Machine) postgresql() []Service {
	services := []Service{}
	for _, version := range m.names("etc/postgresql") {
		for _, cluster := range m.names(path.Join("etc/postgresql", version)) {
			config := path.Join("/etc/postgresql", version, cluster, "postgresql.conf")
			data := path.Join("/var/lib/postgresql", version, cluster)
			if !m.exists(config) || !m.exists(data) {
				continue
			}
			services = append(services, Service{
				Name:    label("postgresql-" + version + "-" + cluster),
				Command: strings.Join([]string{path.Join("/usr/lib/postgresql", version, "bin/postgres"), "-D", quote(data), "-c", quote("config_file=" + config), "-c", "ssl=off"}, " "),
				User:    "postgres", Stop: "INT", From: "postgresql " + version + "/" + cluster,
				// Its process id is of a container that is gone.
				Before: []string{"rm -f " + quote(path.Join(data, "postmaster.pid"))}, runDirs: []string{"postgresql"},
				state: []string{"/var/lib/postgresql"},
			})
		}
	}
	return services
}

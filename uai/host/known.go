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
			Before:  []string{logTo("/var/log/apache2", "access.log", "error.log", "other_vhosts_access.log")},
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

// logTo has a server's own logs come out where a tenant reads them; nothing
// would rotate the files.
func logTo(dir string, names ...string) string {
	command := "mkdir -p " + dir
	for _, name := range names {
		command += " && ln -sf /dev/stdout " + path.Join(dir, name)
	}
	return command + " || true"
}

var listenDirective = regexp.MustCompile(`(?m)^\s*listen\s+(?:[^\s;]*:)?([0-9]{1,5})\b`)

func (m *Machine) nginx() []Service {
	if !m.exists("etc/nginx/nginx.conf") {
		return nil
	}
	s := Service{
		Name: "nginx", Command: "nginx -g 'daemon off;'", User: "www-data", Stop: "QUIT", From: "nginx", scratch: []string{"/var/lib/nginx"},
		Before: []string{logTo("/var/log/nginx", "access.log", "error.log")},
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
			dir := path.Join("/etc/postgresql", version, cluster)
			config := path.Join(dir, "postgresql.conf")
			set := m.postgresSettings(dir)
			data := set["data_directory"]
			if data == "" {
				data = path.Join("/var/lib/postgresql", version, cluster)
			}
			if !m.exists(config) || !m.exists(data) || m.isOff(path.Join(dir, "start.conf")) {
				continue
			}
			s := Service{
				Name:    label("postgresql-" + version + "-" + cluster),
				Command: strings.Join([]string{path.Join("/usr/lib/postgresql", version, "bin/postgres"), "-D", quote(data), "-c", quote("config_file=" + config), "-c", "ssl=off"}, " "),
				User:    "postgres", Stop: "INT", From: "postgresql " + version + "/" + cluster,
				// Its process id is of a container that is gone.
				Before: []string{"rm -f " + quote(path.Join(data, "postmaster.pid"))}, runDirs: []string{"postgresql"},
				state: []string{"/var/lib/postgresql"},
			}
			s.running = m.exists(path.Join(data, "postmaster.pid"))
			if !strings.HasPrefix(data, "/var/lib/postgresql/") {
				s.state = []string{path.Dir(data)}
			}
			if port, ok := listensOutside(set); ok {
				s.ports = []uint32{port}
			}
			services = append(services, s)
		}
	}
	return services
}

// isOff reads how a cluster starts: "auto", "manual" or "disabled".
func (m *Machine) isOff(file string) bool {
	for _, line := range m.lines(file) {
		line = strings.TrimSpace(line)
		if line == "manual" || line == "disabled" {
			return true
		}
	}
	return false
}

var postgresSetting = regexp.MustCompile(`^\s*(port|listen_addresses|data_directory)\s*(?:=|\s)\s*'?([^'#]*)`)

// postgresSettings are those of interest here; the last one counts.
func (m *Machine) postgresSettings(dir string) map[string]string {
	files := []string{path.Join(dir, "postgresql.conf")}
	for _, name := range m.names(path.Join(dir, "conf.d")) {
		if strings.HasSuffix(name, ".conf") {
			files = append(files, path.Join(dir, "conf.d", name))
		}
	}
	set := map[string]string{}
	for _, file := range files {
		for _, line := range m.lines(file) {
			if match := postgresSetting.FindStringSubmatch(line); match != nil {
				set[match[1]] = strings.TrimSpace(match[2])
			}
		}
	}
	return set
}

// listensOutside says whether others than the machine itself reach it. It does
// not by default.
func listensOutside(set map[string]string) (port uint32, ok bool) {
	port = 5432
	if number, err := strconv.ParseUint(set["port"], 10, 16); err == nil && number > 0 {
		port = uint32(number)
	}
	for address := range strings.SplitSeq(set["listen_addresses"], ",") {
		if address = strings.TrimSpace(address); address != "" && address != "localhost" && address != "127.0.0.1" && address != "::1" {
			return port, true
		}
	}
	return 0, false
}

package host

import (
	"os"
	"path"
	"slices"
	"strings"
)

// sysv are the services that start with the machine by scripts in init.d and
// not by units.
func (m *Machine) sysv(have []Service) []Service {
	var names []string
	for _, level := range []string{"etc/rc2.d", "etc/rc3.d", "etc/rc5.d"} {
		for _, link := range m.names(level) {
			if len(link) > 3 && link[0] == 'S' {
				names = append(names, link[3:])
			}
		}
	}
	slices.Sort(names)
	var services []Service
	for _, name := range slices.Compact(names) {
		if isMachineService(name) || serves(have, name) {
			continue
		}
		if known := m.known(name); known != nil {
			services = append(services, known...)
			continue
		}
		if s, ok := m.script(name); ok {
			services = append(services, s)
		}
	}
	return services
}

// script takes what a container needs of a script in init.d, if it is written
// as most are: the program, its arguments and its process number's file in
// variables. Such programs go to the background.
func (m *Machine) script(name string) (Service, bool) {
	values := map[string]string{"NAME": name}
	for _, file := range []string{path.Join("etc/init.d", name), path.Join("etc/default", name)} {
		for _, line := range m.lines(file) {
			key, value, ok := strings.Cut(line, "=")
			if !ok || !variableName.MatchString(key) || strings.ContainsAny(value, "`") || strings.Contains(value, "$(") {
				continue
			}
			values[key] = os.Expand(strings.Trim(strings.TrimSpace(value), `"'`), func(v string) string { return values[v] })
		}
	}
	if values["DAEMON"] == "" || !m.exists(values["DAEMON"]) {
		return Service{}, false
	}
	parts := []string{quote(values["DAEMON"])}
	for _, variable := range []string{"DAEMON_ARGS", "DAEMON_OPTS", "OPTIONS"} {
		for _, word := range words(values[variable]) {
			parts = append(parts, quote(word))
		}
	}
	user := values["DAEMON_USER"]
	if user == "" {
		user = values["USER"]
	}
	if user == "" {
		user = "root"
	}
	return Service{
		Name: label(name), Command: strings.Join(parts, " "), User: user, From: "script /etc/init.d/" + name, pidFile: values["PIDFILE"],
	}, true
}

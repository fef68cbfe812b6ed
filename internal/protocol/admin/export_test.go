package admin

// Routes lists the routing table as "METHOD pattern".
func Routes() []string {
	list := make([]string, len(routes))
	for i, r := range routes {
		list[i] = r.method + " " + r.pattern
	}
	return list
}

// Matches reports whether a path below the version is on the route of that index.
func Matches(index int, method, path string) bool {
	row, _ := findRoute(method, path)
	return row == &routes[index]
}

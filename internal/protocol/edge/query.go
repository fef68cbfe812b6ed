package edge

import (
	"errors"
	"net/url"
	"strings"
)

// The faults of syntax that normalisation finds. They are the cause of a
// fault.Invalid.
var (
	ErrPath  = errors.New("the request path does not start with a slash")
	ErrQuery = errors.New("the query string is not well-formed")
)

// maxParams bounds the parameters of one query.
const maxParams = 256

// Param is one parameter of a query, decoded.
type Param struct{ Name, Value string }

// Query holds the parameters of a query string in the order they came, decoded
// exactly once: "+" and "%20" are a space, ";" is no separator.
type Query []Param

// parseQuery parses a raw query. It refuses bad percent-encoding rather than
// guess, and more than maxParams parameters. An empty element is skipped.
func parseQuery(raw string) (Query, error) {
	if raw == "" {
		return nil, nil
	}
	n := strings.Count(raw, "&") + 1
	if n > maxParams {
		return nil, ErrQuery
	}
	query := make(Query, 0, n)
	for element := range strings.SplitSeq(raw, "&") {
		if element == "" {
			continue
		}
		name, value, _ := strings.Cut(element, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, ErrQuery
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, ErrQuery
		}
		query = append(query, Param{name, value})
	}
	return query, nil
}

// Has reports whether there is a parameter of that name, with or without value.
func (q Query) Has(name string) bool {
	for i := range q {
		if q[i].Name == name {
			return true
		}
	}
	return false
}

// Get returns the first value of that name, "" if there is none.
func (q Query) Get(name string) string {
	for i := range q {
		if q[i].Name == name {
			return q[i].Value
		}
	}
	return ""
}

// All returns every value of that name.
func (q Query) All(name string) (values []string) {
	for i := range q {
		if q[i].Name == name {
			values = append(values, q[i].Value)
		}
	}
	return values
}

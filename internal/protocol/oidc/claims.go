package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// The bounds on what a session keeps of a token.
const (
	maxToken  = 16 << 10 // bytes
	maxValues = 64       // of one claim
	maxValue  = 1 << 10  // bytes of one value
	maxDepth  = 4        // of objects in objects
)

// parseClaims decodes a payload into claims by their full names; the claims of an
// object are named "object.claim". Texts, numbers and truth values become text.
func parseClaims(payload []byte) (map[string][]string, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var raw map[string]any
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("claims: more than one document")
	}
	claims := make(map[string][]string, len(raw))
	for name, value := range raw {
		flatten(claims, name, value, 1)
	}
	return claims, nil
}

func flatten(claims map[string][]string, name string, value any, depth int) {
	switch v := value.(type) {
	case string:
		if len(v) <= maxValue && len(claims[name]) < maxValues {
			claims[name] = append(claims[name], v)
		}
	case json.Number:
		flatten(claims, name, v.String(), depth)
	case bool:
		flatten(claims, name, strconv.FormatBool(v), depth)
	case []any:
		for _, element := range v {
			if _, list := element.([]any); !list { // a list in a list says nothing
				flatten(claims, name, element, depth)
			}
		}
	case map[string]any:
		if depth < maxDepth {
			for inner, element := range v {
				flatten(claims, name+"."+inner, element, depth+1)
			}
		}
	}
}

// single returns the value of a claim that must be one text.
func single(claims map[string][]string, name string) (string, error) {
	if v := claims[name]; len(v) == 1 && v[0] != "" {
		return v[0], nil
	}
	return "", fmt.Errorf("the token has no %q", name)
}

// instant returns a claim that is a time in seconds, the zero time if it is absent.
func instant(claims map[string][]string, name string) (time.Time, error) {
	v := claims[name]
	if len(v) == 0 {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(v[0], 64)
	if err != nil || len(v) > 1 || seconds <= 0 || seconds > 1e11 {
		return time.Time{}, fmt.Errorf("the token's %q is not a time", name)
	}
	return time.Unix(int64(seconds), 0), nil
}

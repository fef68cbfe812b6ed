package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// SyntaxError is a fault in a policy document.
type SyntaxError struct {
	Line, Column int // of the fault, from 1; columns count bytes
	Message      string
}

// Error returns "line 3, column 14: unknown action …".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// node is a JSON value that knows where it was written. encoding/json alone
// would drop positions, accept a member twice and take its name in any case.
type node struct {
	offset  int // of the value's first byte
	kind    nodeKind
	text    string // of a string, number ("1"), bool ("true") or null
	items   []node
	members []member // in the order written
}

type member struct {
	name   string
	offset int // of the name
	value  node
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	listNode
	objectNode
)

var nodeText = [...]string{
	nullNode: "null", boolNode: "a bool", numberNode: "a number", stringNode: "a string", listNode: "a list", objectNode: "an object",
}

// maxDepth is more than any policy needs: document, statement list, statement,
// condition, operator, list of values.
const maxDepth = 8

// document is a policy's text while it is parsed.
type document struct {
	text []byte
	dec  *json.Decoder
}

// fault makes an error at a byte offset.
func (d *document) fault(offset int, format string, args ...any) error {
	before := d.text[:min(offset, len(d.text))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	return &SyntaxError{
		Line: line, Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Message: fmt.Sprintf(format, args...),
	}
}

// parse reads the whole text as one value.
func (d *document) parse() (node, error) {
	if !utf8.Valid(d.text) {
		return node{}, d.fault(invalidUTF8(d.text), "the document is not valid UTF-8")
	}
	d.dec = json.NewDecoder(bytes.NewReader(d.text))
	d.dec.UseNumber()
	root, err := d.value(0)
	if err != nil {
		return node{}, err
	}
	offset := d.next()
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, d.fault(offset, "text after the end of the document")
	}
	return root, nil
}

func invalidUTF8(text []byte) int {
	offset := 0
	for offset < len(text) {
		r, size := utf8.DecodeRune(text[offset:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return offset
}

// next returns where the next token begins.
func (d *document) next() int {
	offset := int(d.dec.InputOffset())
	for offset < len(d.text) && bytes.IndexByte([]byte(" \t\r\n,:"), d.text[offset]) >= 0 {
		offset++
	}
	return offset
}

func (d *document) token() (json.Token, int, error) {
	offset := d.next()
	token, err := d.dec.Token()
	if err == nil {
		return token, offset, nil
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, 0, d.fault(offset, "%s", syntax.Error())
	}
	return nil, 0, d.fault(len(d.text), "the document ends too early")
}

func (d *document) value(depth int) (node, error) {
	token, offset, err := d.token()
	if err != nil {
		return node{}, err
	}
	switch token := token.(type) {
	case nil:
		return node{offset: offset, kind: nullNode, text: "null"}, nil
	case bool:
		return node{offset: offset, kind: boolNode, text: fmt.Sprint(token)}, nil
	case json.Number:
		return node{offset: offset, kind: numberNode, text: token.String()}, nil
	case string:
		return node{offset: offset, kind: stringNode, text: token}, nil
	case json.Delim:
		if depth == maxDepth {
			return node{}, d.fault(offset, "the document is nested too deeply")
		}
		if token == '[' {
			return d.list(offset, depth)
		}
		return d.object(offset, depth)
	}
	return node{}, d.fault(offset, "unexpected token")
}

func (d *document) list(offset, depth int) (node, error) {
	n := node{offset: offset, kind: listNode}
	for d.dec.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, _, err := d.token()
	return n, err
}

func (d *document) object(offset, depth int) (node, error) {
	n := node{offset: offset, kind: objectNode}
	seen := map[string]bool{}
	for d.dec.More() {
		token, at, err := d.token()
		if err != nil {
			return node{}, err
		}
		name, ok := token.(string)
		if !ok {
			return node{}, d.fault(at, "the name of a member is a string")
		}
		if seen[name] {
			return node{}, d.fault(at, "%q is here twice", name)
		}
		seen[name] = true
		value, err := d.value(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.members = append(n.members, member{name, at, value})
	}
	_, _, err := d.token()
	return n, err
}

// strings returns the strings of a "string or list of strings".
func (d *document) strings(what string, n node) ([]node, error) {
	items := n.items
	if n.kind == stringNode {
		items = []node{n}
	} else if n.kind != listNode {
		return nil, d.fault(n.offset, "%s is a string or a list of strings, not %s", what, nodeText[n.kind])
	}
	if len(items) == 0 {
		return nil, d.fault(n.offset, "%s is empty", what)
	}
	for _, item := range items {
		if item.kind != stringNode {
			return nil, d.fault(item.offset, "%s is a string or a list of strings, not a list with %s", what, nodeText[item.kind])
		}
	}
	return items, nil
}

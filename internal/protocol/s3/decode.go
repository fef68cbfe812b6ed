package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The limits of XML documents in bodies.
const (
	maxSmallDocument = 64 << 10 // a configuration
	maxKeysDocument  = 4 << 20  // 1,000 keys of 1,024 bytes, some of them as references
	maxPartsDocument = 4 << 20  // 10,000 parts with checksums
	maxDepth         = 16
	maxElements      = 200_000
)

// readXML reads a call's body, a document with that root, into v. The namespace
// does not matter: many clients send none.
func readXML(call *edge.Call, root string, v any) error {
	body, err := io.ReadAll(call.Body)
	if err != nil {
		return err
	}
	return decodeXML(body, root, v)
}

// readOptionalXML is readXML of a body that may be empty. v may be nil.
func readOptionalXML(call *edge.Call, root string, v any) error {
	body, err := io.ReadAll(call.Body)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return decodeXML(body, root, v)
}

// decodeXML checks the shape of a document, then decodes it.
func decodeXML(doc []byte, root string, v any) error {
	malformed := func(err error) error { return &Error{Code: MalformedXML, Err: err} }
	if err := checkXML(doc, root); err != nil {
		return malformed(err)
	}
	if v == nil {
		return nil
	}
	if err := xml.Unmarshal(doc, v); err != nil {
		return malformed(err)
	}
	return nil
}

// checkXML refuses documents that are not well-formed, nest deeper or hold more
// than any document of S3, or define entities.
func checkXML(doc []byte, root string) error {
	decoder := xml.NewDecoder(bytes.NewReader(doc))
	depth, elements := 0, 0
	for {
		token, err := decoder.RawToken()
		switch {
		case errors.Is(err, io.EOF) && depth == 0 && elements > 0:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return errors.New("the document nests too deeply")
			}
			if depth == 1 && (t.Name.Local != root || elements > 0) {
				return errors.New("the root element is " + t.Name.Local)
			}
			if elements++; elements > maxElements {
				return errors.New("the document has too many elements")
			}
		case xml.EndElement:
			depth--
		case xml.Directive:
			return errors.New("the document has a directive")
		}
	}
}

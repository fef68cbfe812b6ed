package identity

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/larder-cache/larder/internal/fault"
)

// Sealer encrypts and authenticates with a key that is kept apart from the
// store.
type Sealer interface {
	// Deployment names the installation that the key belongs to.
	Deployment() string

	// KeyID names the key and reveals nothing of it.
	KeyID() string

	// Seal encrypts plaintext for a purpose and binds it to associated.
	Seal(purpose string, plaintext, associated []byte) []byte

	// Open is the reverse of Seal; anything else than what Seal made for the
	// same purpose and associated data is fault.Corrupt.
	Open(purpose string, sealed, associated []byte) ([]byte, error)
}

// The purposes of sealing: what is sealed for one does not open as another.
const (
	sealDocument = "iam document"
	sealToken    = "session token"
)

const magic = "larder iam 1\n"

// header is the readable part of a sealed document.
type header struct {
	Deployment string `json:"deployment"`
	Generation uint64 `json:"generation"`
	Key        string `json:"key"`
}

// seal makes the log's document of a generation.
func seal(sealer Sealer, generation uint64, doc *document) ([]byte, error) {
	plaintext, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode identities: %w", err)
	}
	head, err := json.Marshal(header{sealer.Deployment(), generation, sealer.KeyID()})
	if err != nil {
		return nil, fmt.Errorf("encode identities: %w", err)
	}
	head = append(append([]byte(magic), head...), '\n')
	return append(head, sealer.Seal(sealDocument, plaintext, head)...), nil
}

// unseal reads the log's document of a generation.
func unseal(sealer Sealer, generation uint64, sealed []byte) (*document, error) {
	corrupt := func(format string, args ...any) (*document, error) {
		return nil, fault.Wrap(fault.Corrupt, fault.Log, fmt.Sprintf("iam/%d", generation), fmt.Errorf(format, args...))
	}
	rest, ok := bytes.CutPrefix(sealed, []byte(magic))
	line, ciphertext, found := bytes.Cut(rest, []byte{'\n'})
	if !ok || !found {
		return corrupt("the document does not begin as one of this version does")
	}
	var head header
	if err := json.Unmarshal(line, &head); err != nil {
		return corrupt("header: %w", err)
	}
	switch {
	case head.Key != sealer.KeyID():
		return corrupt("the identities are sealed with key %s of deployment %s, and the key given is %s of deployment %s: "+
			"put the right key back; without it the identities cannot be read", head.Key, head.Deployment, sealer.KeyID(), sealer.Deployment())
	case head.Deployment != sealer.Deployment():
		return corrupt("the identities are those of deployment %s, and this is %s", head.Deployment, sealer.Deployment())
	case head.Generation != generation:
		return corrupt("the document was written as generation %d: somebody put an older one in its place", head.Generation)
	}
	plaintext, err := sealer.Open(sealDocument, ciphertext, sealed[:len(sealed)-len(ciphertext)])
	if err != nil {
		return corrupt("open: %w", err)
	}
	doc := &document{}
	if err := json.Unmarshal(plaintext, doc); err != nil {
		return corrupt("document: %w", err)
	}
	doc.init()
	return doc, nil
}

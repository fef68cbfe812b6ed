package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// maxBody is the longest plain or encrypted JSON body, in bytes: the largest
// policy with room to spare.
const maxBody = 256 << 10

// readBody reads a body to its end, so that it is verified. Its length is
// bounded by the operation's MaxBody.
func readBody(call *edge.Call) ([]byte, error) {
	body, err := io.ReadAll(call.Body)
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	return body, nil
}

// readJSON decodes a plain JSON body into v.
func readJSON(call *edge.Call, v any) error {
	body, err := readBody(call)
	if err != nil {
		return err
	}
	return decode(body, v)
}

// openBody reads a body and opens it with the caller's secret. It is called
// only after the caller was authorised: deriving the key may take 64 MiB.
func (p *Protocol) openBody(ctx context.Context, call *edge.Call) ([]byte, error) {
	sealed, err := readBody(call)
	if err != nil {
		return nil, err
	}
	r, err := envelope.NewReader(ctx, p.config.Gate, bytes.NewReader(sealed), line(call.Principal()), call.Credential.Secret)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// line is whose key derivations wait in line together, and up to how many: a
// user's own, and apart from them those of all that derives from him, of which
// there may be any number.
func line(who iam.Principal) string {
	if who.Derived() {
		return "derives from " + who.Parent.String() + " " + string(who.User)
	}
	return who.Kind.String() + " " + string(who.User)
}

// openJSON decodes an encrypted JSON body into v.
func (p *Protocol) openJSON(ctx context.Context, call *edge.Call, v any) error {
	body, err := p.openBody(ctx, call)
	if err != nil {
		return err
	}
	return decode(body, v)
}

// decode takes one JSON value. Members that are not known are skipped: newer
// clients send more of them.
func decode(body []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badJSON(errors.New("there is more than one value"))
	}
	return nil
}

// writeJSON answers with plain JSON.
func writeJSON(w *edge.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(body)
	return err
}

// sealJSON answers with JSON that is encrypted with the caller's secret.
func sealJSON(w *edge.Writer, call *edge.Call, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return sealBody(w, call, body)
}

func sealBody(w *edge.Writer, call *edge.Call, body []byte) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	sealed, err := envelope.NewWriter(w, envelope.PBKDF2AES, call.Credential.Secret)
	if err != nil {
		return err
	}
	if _, err := sealed.Write(body); err != nil {
		return err
	}
	return sealed.Close()
}

// writeOK answers 200 with an empty body.
func writeOK(w *edge.Writer) error {
	w.WriteHeader(http.StatusOK)
	return nil
}

// writeNoContent answers 204.
func writeNoContent(w *edge.Writer) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// need returns a parameter that must not be empty.
func need(query edge.Query, name string) (string, error) {
	value := query.Get(name)
	if value == "" {
		return "", invalid(fault.None, "", "the parameter %q is missing", name)
	}
	return value, nil
}

// number returns a parameter that is a count, or what holds without it.
func number(query edge.Query, name string, otherwise int) (int, error) {
	s := query.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, invalid(fault.None, "", "the parameter %q is no count: %q", name, s)
	}
	return n, nil
}

// checkSignature refuses what the admin API does not take of Signature Version 4:
// credentials in a URL, which end in logs and histories, and a body whose
// checksum is not signed.
func checkSignature(req *edge.Request, op *edge.Operation) error {
	if req.Query.Has("X-Amz-Signature") || req.Query.Has("X-Amz-Credential") {
		return fault.Wrap(fault.Denied, fault.None, "", errors.New("the admin API takes signatures in headers only"))
	}
	if op.MaxBody > 0 {
		sum, err := hex.DecodeString(req.Header.Get("X-Amz-Content-Sha256"))
		if err != nil || len(sum) != sha256.Size {
			return fault.Wrap(fault.Denied, fault.None, "", errors.New("the admin API takes bodies with a signed SHA-256 only"))
		}
	}
	return nil
}

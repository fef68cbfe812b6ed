package doctor_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// domain is what the name server knows: every name below it has the server's
// address, but for those that end in .test a second time.
const domain = "dns.test"

var nameServer sync.Once // for all machines, as long as the tests run

// useNameServer gives the machine a name server that answers, and a search list.
func (p *patient) useNameServer() {
	p.t.Helper()
	nameServer.Do(func() { startNameServer(p.t) })
	file := p.File(p.t, "resolv.conf", []byte("nameserver "+harness.ServerAddr+"\nsearch "+domain+"\n"))
	p.Run(p.t, nil, "mount", "--bind", file, "/etc/resolv.conf")
}

func startNameServer(t *testing.T) {
	t.Helper()
	conn, err := net.ListenPacket("udp", harness.ServerAddr+":53")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		question := make([]byte, 512)
		for {
			n, peer, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if answer, ok := resolve(question[:n]); ok {
				_, _ = conn.WriteTo(answer, peer)
			}
		}
	}()
}

// resolve answers one question, RFC 1035: a header of 12 bytes, then the name as
// labels with their lengths, then type and class of two bytes each.
func resolve(message []byte) (answer []byte, ok bool) {
	var labels []string
	at := 12
	for at < len(message) && message[at] != 0 {
		end := at + 1 + int(message[at])
		if end > len(message) {
			return nil, false
		}
		labels = append(labels, string(message[at+1:end]))
		at = end
	}
	if at+5 > len(message) {
		return nil, false
	}
	kind := message[at+2]
	answer = append([]byte{}, message[:at+5]...)
	answer[2], answer[3] = 0x81, 0x80 // an answer, no error
	answer[7], answer[9], answer[11] = 0, 0, 0
	const a = 1
	prefix, known := strings.CutSuffix(strings.ToLower(strings.Join(labels, ".")), "."+domain)
	switch {
	case !known || strings.HasSuffix("."+prefix, ".test"): // a name of the hosts files, with the search list
		answer[3] |= 3 // no such name
	case kind == a:
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, a, 0, 1, 0, 0, 0, 60, 0, 4) // that name, A, IN, 60 s, 4 bytes
		answer = append(answer, net.ParseIP(harness.ServerAddr).To4()...)
	}
	return answer, true
}

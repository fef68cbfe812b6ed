// Command baseline is what Larder is measured against: the least that a Go
// server can do for the same requests. It checks no signature, keeps no index,
// writes no log.
//
//	GET /…       a random record of -size bytes, by one pread
//	GET /miss/…  404
//	PUT /…       reads the body, hashes it as Larder does, and appends it to one
//	             of -files files; the answer follows an fdatasync that several
//	             requests share
package main

import (
	"flag"
	"hash/crc32"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/minio/crc64nvme"
	"github.com/zeebo/xxh3"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "host:port to listen on")
	dir := flag.String("dir", ".", "directory for the files")
	size := flag.Int("size", 46<<10, "bytes of a record")
	records := flag.Int("records", 4000, "records to serve")
	files := flag.Int("files", 4, "files to append to")
	flag.Parse()
	s, err := open(*dir, *size, *records, *files)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("http://" + listener.Addr().String() + "\n")
	log.Fatal((&http.Server{Handler: s}).Serve(listener))
}

type server struct {
	size, records int
	data          *os.File
	buffers       sync.Pool
	next          atomic.Uint64
	appenders     []*appender
}

func open(dir string, size, records, files int) (*server, error) {
	s := &server{size: size, records: records}
	s.buffers.New = func() any { b := make([]byte, max(size, 64<<10)); return &b }
	var err error
	if s.data, err = os.Create(filepath.Join(dir, "records")); err != nil {
		return nil, err
	}
	record := make([]byte, size)
	for i := range record {
		record[i] = byte(rand.Uint32())
	}
	for range records {
		if _, err := s.data.Write(record); err != nil {
			return nil, err
		}
	}
	for i := range files {
		f, err := os.Create(filepath.Join(dir, "append-"+strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		a := &appender{file: f, queue: make(chan write, 1024)}
		go a.run()
		s.appenders = append(s.appenders, a)
	}
	return s, nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut:
		s.put(w, r)
	case strings.HasPrefix(r.URL.Path, "/miss/"):
		w.WriteHeader(http.StatusNotFound)
	default:
		s.get(w)
	}
}

func (s *server) get(w http.ResponseWriter) {
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	body := (*buffer)[:s.size]
	if _, err := s.data.ReadAt(body, int64(rand.IntN(s.records))*int64(s.size)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(s.size))
	_, _ = w.Write(body)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *server) put(w http.ResponseWriter, r *http.Request) {
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	if r.ContentLength < 0 || r.ContentLength > int64(len(*buffer)) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	body := (*buffer)[:r.ContentLength]
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := xxh3.Hash128(body)
	w.Header().Set("ETag", strconv.FormatUint(sum.Hi^crc64nvme.Checksum(body)^uint64(crc32.Checksum(body, castagnoli)), 16))
	done := make(chan error, 1)
	s.appenders[s.next.Add(1)%uint64(len(s.appenders))].queue <- write{body, done}
	if err := <-done; err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

type write struct {
	body []byte
	done chan error
}

// appender alternates append and fdatasync for all writes that wait.
type appender struct {
	file  *os.File
	queue chan write
}

func (a *appender) run() {
	for first := range a.queue {
		group := []write{first}
		for more := true; more; {
			select {
			case next := <-a.queue:
				group = append(group, next)
			default:
				more = false
			}
		}
		var err error
		for _, w := range group {
			if _, e := a.file.Write(w.body); e != nil {
				err = e
			}
		}
		if e := syscall.Fdatasync(int(a.file.Fd())); e != nil {
			err = e
		}
		for _, w := range group {
			w.done <- err
		}
	}
}

package main

// engineDefects break what the embedded store promises of the disk.
func engineDefects() []Defect {
	return append(durabilityDefects(), spaceDefects()...)
}

const (
	enginePackage  = "./internal/engine/local"
	segmentPackage = "./internal/engine/segment"
	indexPackage   = "./internal/engine/index"
)

// The tests of the crashable disk. What loses an acknowledged write shows at many
// places of a long walk; what keeps a refused one, in a test made for that.
const (
	refusedTests = "^TestRefusedWritesStayAway$"
	crashTests   = "^TestCrash$"
	faultTests   = "^TestFaults$"
	modelTests   = "^TestModel$"
)

func durabilityDefects() []Defect {
	return []Defect{
		{
			Name: "no fdatasync", Why: "what was acknowledged lies in the page cache",
			File:    "internal/engine/segment/writer.go",
			Old:     "if err := w.file.SyncData(); err != nil { // the acknowledgement below rests on this",
			New:     "if err := error(nil); err != nil {",
			Package: enginePackage, Tests: crashTests,
		},
		{
			Name: "early acknowledgement", Why: "the sync comes after the answer",
			File:    "internal/engine/segment/writer.go",
			Old:     "if err := w.file.SyncData(); err != nil { // the acknowledgement below rests on this\n\t\treturn w.poison(err)\n\t}\n\treturn w.apply(false)",
			New:     "defer w.file.SyncData()\n\terr = w.apply(false)\n\tfor _, o := range group {\n\t\tif o.wake != nil {\n\t\t\tselect {\n\t\t\tcase o.wake <- duty{}:\n\t\t\tdefault:\n\t\t\t}\n\t\t}\n\t}\n\treturn err",
			Package: enginePackage, Tests: crashTests,
		},
		{
			Name: "no directory sync", Why: "a new segment has no name after a crash",
			File:    "internal/engine/segment/set.go",
			Old:     "\t\terr = disk.SyncDir(s.fs, s.dir)\n",
			New:     "\t\terr = nil\n",
			Package: enginePackage, Tests: crashTests,
		},
		{
			Name: "clock as version", Why: "a clock that goes back brings old content back",
			File:    "internal/engine/local/put.go",
			Old:     "rec.Seq = s.seq.Add(1) // never the clock",
			New:     "rec.Seq = uint64(s.cfg.Now().UnixNano()) // the clock",
			Package: enginePackage, Tests: modelTests, Args: []string{"-short"},
		},
		{
			Name: "unfenced failure", Why: "a refused write is there after a restart",
			File:    "internal/engine/segment/writer.go",
			Old:     "\tw.distrust()\n\t_ = w.close()\n\tif err := w.open()",
			New:     "\t_ = w.close()\n\tif err := w.open()",
			Package: segmentPackage, Tests: refusedTests,
		},
		{
			Name: "failed write not erased", Why: "a refused write is there after a restart",
			File:    "internal/engine/segment/writer.go",
			Old:     "err := w.set.fs.PunchHole(w.seg.path, from, max(w.pos-from, 0)+PageSize)",
			New:     "_, err := from, error(nil)",
			Package: segmentPackage, Tests: refusedTests,
		},
		{
			Name: "checkpoint ahead of data", Why: "replay begins behind records that the index lacks",
			File:    "internal/engine/index/apply.go",
			Old:     "s.Applied = max(s.Applied, g.End) // in the same batch as what it vouches for",
			New:     "s.Applied = max(s.Applied, g.End+4096)",
			Package: enginePackage, Tests: crashTests,
		},
		{
			Name: "filter not told meanwhile", Why: "a key written while the filter is made is not found",
			File:    "internal/engine/index/filter.go",
			Old:     "\t\tx.filling.add(key)\n",
			New:     "",
			Package: indexPackage, Tests: "^TestFilter",
		},
		{
			Name: "torn write replayed", Why: "a header without its body replaces what was acknowledged",
			File:    "internal/engine/local/replay.go",
			Old:     "if punched || errors.Is(err, segment.ErrDamaged) {",
			New:     "if errors.Is(err, segment.ErrDamaged) {\n\t\t\terr = nil\n\t\t}\n\t\tif punched && errors.Is(err, errors.ErrUnsupported) {",
			Package: enginePackage, Tests: crashTests,
		},
		{
			Name: "damage at a fence taken for torn", Why: "an older state is served when the index is built again",
			File:    "internal/engine/segment/scan.go",
			Old:     "s.result.Proven = max(s.maxBase, s.fence)",
			New:     "s.result.Proven = s.maxBase",
			Package: enginePackage, Tests: "^TestDamageBeforeAFence$",
		},
		{
			Name: "checkpoint ahead of a loss", Why: "a crash in mid-rebuild forgets what is lost",
			File:    "internal/engine/local/replay.go",
			Old:     "return s.flush(min(rec.Loc.End(), s.held), false)",
			New:     "return s.flush(rec.Loc.End(), false)",
			Package: enginePackage, Tests: "^TestCrashWhileRebuilding$",
		},
		{
			Name: "repair drops a tombstone", Why: "what was deleted is back when the index is rebuilt",
			File:    "internal/engine/local/repair.go",
			Old:     "if !found { // the record that said so may be the one that is damaged",
			New:     "if !found && err != nil {",
			Package: enginePackage, Tests: "^TestRepair",
		},
		{
			Name: "quota counted after the write", Why: "writes at once exceed it",
			File:    "internal/engine/local/bucket.go",
			Old:     "\tb.used += growth\n",
			New:     "\tgrowth = 0\n",
			Package: enginePackage, Tests: "^TestConformance$/^Quotas$",
		},
	}
}

func spaceDefects() []Defect {
	return []Defect{
		{
			Name: "tombstone dropped early", Why: "what was deleted is back when the index is rebuilt",
			File:    "internal/engine/index/reclaim.go",
			Old:     "alive(h.Loc == f.Loc && h.Seq == f.Seq && h.needed())",
			New:     "alive(h.Seq == 0)",
			Package: enginePackage, Tests: "^TestReclaim$",
		},
		{
			Name: "punch before commit", Why: "a crash takes the old content, and there is no new one",
			File:    "internal/engine/local/put.go",
			Old:     "current, _, lost, err := s.current(b, c.info.Key)\n\tif err != nil {\n\t\treturn object.Info{}, err\n\t}\n",
			New:     "current, e, lost, err := s.current(b, c.info.Key)\n\tif err != nil {\n\t\treturn object.Info{}, err\n\t}\n\tif e != nil {\n\t\t_, _ = s.segs.Punch(e.Loc)\n\t}\n",
			Package: enginePackage, Tests: crashTests,
		},
		{
			Name: "reader unpinned", Why: "a reader finds holes where its object was",
			File:    "internal/engine/segment/read.go",
			Old:     "seg.pinned[loc.Offset]++ // punching and unlinking wait for it",
			New:     "delete(seg.pinned, loc.Offset)",
			Package: enginePackage, Tests: "^TestConformanceSmall$/^Objects$/outlives",
		},
		{
			Name: "CRC unchecked on Range", Why: "a range of a damaged body is served",
			File:    "internal/engine/segment/read.go",
			Old:     "if !r.header.verifyBlock(int(block), r.buf[head:]) { // also when only a part of the block is asked for",
			New:     "if off == start && !r.header.verifyBlock(int(block), r.buf[head:]) {",
			Package: enginePackage, Tests: "^TestRangeOfDamagedBlock$",
		},
	}
}

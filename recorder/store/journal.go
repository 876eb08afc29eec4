package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path"
)

// journal is the name of the file that keeps what the store has confirmed: a line that names the store, then a File a
// line, the last of a name counting. It saves work and nothing else, so it is not synced, and what cannot be read of it
// is stored again.
const journal = ".stored.jsonl"

// journalHead is the first line: what another store has confirmed is worth nothing here.
type journalHead struct {
	Store string `json:"store"`
}

// readJournal returns what the store has confirmed of a recording, and begins a new journal if there is none for it.
func (m *Mirror) readJournal(recording string) map[string]File {
	stored := map[string]File{}
	b, err := m.spool.ReadFile(path.Join(recording, journal))
	if err != nil {
		return stored
	}
	lines := bufio.NewReader(bytes.NewReader(b))
	var head journalHead
	if line, err := lines.ReadBytes('\n'); err != nil || json.Unmarshal(line, &head) != nil || head.Store != m.cfg.Store.URL() {
		_ = m.spool.Remove(path.Join(recording, journal)) // if it stays, it is ignored again
		return stored
	}
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return stored // a line without an end was torn
		}
		var f File
		if json.Unmarshal(line, &f) == nil && f.check() == nil {
			stored[f.Name] = f
		}
	}
}

// writeJournal adds what the store has just confirmed, with one write, so that jobs do not mix their lines.
func (m *Mirror) writeJournal(recording string, f File) {
	file, err := m.spool.OpenFile(path.Join(recording, journal), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		m.cfg.Log.Debug("no journal; after a restart the file is stored again", "recording", recording, "error", err)
		return
	}
	defer file.Close()
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	if at, err := file.Seek(0, io.SeekEnd); err == nil && at == 0 {
		_ = lines.Encode(journalHead{Store: m.cfg.Store.URL()}) // cannot fail, like the next
	} else if torn(file, at) {
		b.WriteByte('\n')
	}
	_ = lines.Encode(f)
	if _, err := file.Write(b.Bytes()); err != nil {
		m.cfg.Log.Debug("no journal; after a restart the file is stored again", "recording", recording, "error", err)
	}
}

// torn says whether the journal's last line has no end.
func torn(file *os.File, size int64) bool {
	last := make([]byte, 1)
	n, _ := file.ReadAt(last, size-1)
	return n == 1 && last[0] != '\n'
}

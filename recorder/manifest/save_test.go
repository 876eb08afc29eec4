package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// saving is the variable by which this test's own program is told to save for ever, in the directory it holds.
const saving = "STENTOR_TEST_SAVE_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saving); dir != "" {
		saveForEver(dir)
	}
	os.Exit(m.Run())
}

// saveForEver saves one manifest after the other, each a sample longer, and says so behind each.
func saveForEver(dir string) {
	m := long()
	for ; ; m.Duration++ {
		if err := Save(dir, m); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(int64(m.Duration))
	}
}

// long is a recording with enough segments that writing it takes a moment.
func long() *Manifest {
	m := running()
	for i := range 3000 {
		m.Files = append(m.Files, File{fmt.Sprintf("replay/seg-%06d.m4s", i+2), 9000, sum})
	}
	return m
}

// TestAManifestIsOldOrNewAfterACrash kills a program in the middle of saving, again and again: there is a whole manifest,
// the one it has told of or the one after that.
func TestAManifestIsOldOrNewAfterACrash(t *testing.T) {
	dir := t.TempDir()
	half := 0
	for round := range 30 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), saving+"="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		// The program is killed after a few saves, while it is busy with the next.
		var told int64
		said := bufio.NewScanner(out)
		for range 1 + round%3 {
			if !said.Scan() {
				t.Fatal("the program has stopped by itself")
			}
			if _, err := fmt.Sscan(said.Text(), &told); err != nil {
				t.Fatal(said.Text())
			}
		}
		if round%2 == 0 { // once the next file has been begun
			waitFor(t, filepath.Join(dir, Name+".tmp"))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for said.Scan() { // what it had told of before it was killed
			if _, err := fmt.Sscan(said.Text(), &told); err != nil {
				t.Fatal(said.Text())
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the program ended in peace")
		}
		m, err := Load(os.DirFS(dir))
		if err != nil || int64(m.Duration) != told && int64(m.Duration) != told+1 {
			t.Fatalf("round %d: %v, of %d, which was told of, or the next", round, err, told)
		}
		if _, err := os.Stat(filepath.Join(dir, Name+".tmp")); err == nil {
			half++
		}
	}
	if half == 0 {
		t.Error("no round was killed in the middle of a save")
	}
	t.Logf("%d of 30 were killed in the middle of a save", half)
}

// waitFor waits until a file is there. Its maker makes it again and again.
func waitFor(t *testing.T, name string) {
	t.Helper()
	for {
		if _, err := os.Stat(name); err == nil {
			return
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func TestAHalfWrittenManifestIsNotInTheWay(t *testing.T) {
	dir := t.TempDir()
	old := running()
	if err := Save(dir, old); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, Name+".tmp"), []byte(strings.Repeat(`{"version":1,`, 9999)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(os.DirFS(dir)); err != nil || !reflect.DeepEqual(got, old) {
		t.Fatalf("the old one: %v", err)
	}
	if err := Save(dir, ready()); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(os.DirFS(dir)); err != nil || got.State != Ready {
		t.Errorf("the new one: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%v lie there", files)
	}
}

// TestAFullDiskLeavesTheOldManifest lets the new one go to a device that is always full.
func TestAFullDiskLeavesTheOldManifest(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, running()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", filepath.Join(dir, Name+".tmp")); err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, ready()); err == nil {
		t.Fatal("it was saved on a full disk")
	}
	if got, err := Load(os.DirFS(dir)); err != nil || got.State != Recording {
		t.Errorf("the old one: %v", err)
	}
	if err := Save(dir, ready()); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestWithoutAManifestThereIsNone(t *testing.T) {
	if _, err := Load(os.DirFS(t.TempDir())); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestDecodingIsStrict(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, running()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, s := range map[string]string{
		"empty":             "",
		"null":              "null",
		"a list":            "[]",
		"cut off":           good[:len(good)/2],
		"an unknown field":  strings.Replace(good, `"room"`, `"rum": 1, "room"`, 1),
		"something behind":  good + "{}",
		"too long":          good + strings.Repeat(" ", sizeMax),
		"no position":       strings.Replace(good, `"duration_s": 90`, `"duration_s": null`, 1),
		"before the start":  strings.Replace(good, `"duration_s": 90`, `"duration_s": -1`, 1),
		"behind all times":  strings.Replace(good, `"duration_s": 90`, `"duration_s": 1e300`, 1),
		"half an audio id":  strings.Replace(good, "4000000000", "4000000000.5", 1),
		"too large an id":   strings.Replace(good, "4000000000", "5000000000", 1),
		"a later version":   strings.Replace(good, `"version": 1`, `"version": 2`, 1),
		"a path with NUL":   strings.Replace(good, "alice.ogg", "alice\\u0000.ogg", 1),
		"a path upwards":    strings.Replace(good, "tracks/alice.ogg", "tracks/../../alice.ogg", 1),
		"a Windows path":    strings.Replace(good, "tracks/alice.ogg", `tracks\\alice.ogg`, 1),
		"a number of bytes": strings.Replace(good, `"bytes": 600`, `"bytes": 1e30`, 1),
	} {
		if s == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Decode(strings.NewReader(s)); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

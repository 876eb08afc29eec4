package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stentor/engine/control"
)

// startRecorded starts a Space that is recorded, and lets its host in.
func (s *stageSet) startRecorded() (id, token string, host *browser) {
	s.t.Helper()
	status, a := s.post(`{"title":"Evening talk","name":"Ada","record":true}`)
	if status != http.StatusCreated {
		s.t.Fatalf("start: %d %v", status, a)
	}
	return a["id"], a["host"], s.enter(a["id"], msg{"name": "Ada", "host": a["host"]})
}

// awaitRecording reads until the page shows that a recording runs; empty: that none does.
func (b *browser) awaitRecording(recording string) {
	b.t.Helper()
	var v stateView
	b.await("state", &v, func() bool { return v.Recording == recording })
}

// replays is the list of replays on the start page.
func (s *stageSet) replays() []replayView {
	s.t.Helper()
	var list struct {
		Replays []replayView
	}
	s.get("/api/replays", http.StatusOK, &list)
	return list.Replays
}

// get asks for JSON.
func (s *stageSet) get(path string, status int, into any) {
	s.t.Helper()
	res, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != status {
		s.t.Fatalf("%s: %d, not %d", path, res.StatusCode, status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		s.t.Fatal(err)
	}
}

// delete asks for a replay to be deleted.
func (s *stageSet) delete(recording, token string) (status int) {
	s.t.Helper()
	req, _ := http.NewRequest(http.MethodDelete, s.url+"/api/replays/"+recording, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestSpaceIsRecordedOnlyIfItsHostChoseSo(t *testing.T) {
	s := newStageSet(t)
	_, host := s.start()
	host.awaitRecording("")
	if n := s.engine.count("record"); n != 0 || len(s.replays()) != 0 {
		t.Fatalf("%d recordings of a Space that is not to be recorded, replays %v", n, s.replays())
	}
	id, _, _ := s.startRecorded()
	s.engine.await(t, "record "+id+"-1 in "+id)
}

func TestEverybodySeesThatTheSpaceIsRecordedAndLateComersToo(t *testing.T) {
	s := newStageSet(t)
	id, _, host := s.startRecorded()
	host.awaitRecording(id + "-1")
	ben := s.joined(id, "Ben")
	ben.awaitRecording(id + "-1")
	var card cardView
	s.get("/api/spaces/"+id, http.StatusOK, &card)
	if card.Recording != id+"-1" {
		t.Errorf("the door does not tell: %+v", card)
	}

	host.say(msg{"type": "record", "on": false})
	s.engine.await(t, "stop "+id+"-1")
	ben.awaitRecording("")
	host.awaitRecording("")
	cem := s.joined(id, "Cem")
	cem.awaitRecording("")

	host.say(msg{"type": "record", "on": true})
	s.engine.await(t, "record "+id+"-2 in "+id)
	for _, b := range []*browser{host, ben, cem} {
		b.awaitRecording(id + "-2")
	}
	if list := s.replays(); len(list) != 2 || !list[0].Live || list[0].ID != id+"-2" || list[1].Live {
		t.Errorf("replays %+v", list)
	}
}

func TestOnlyTheHostRecords(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	host.awaitRecording("")
	ben := s.joined(id, "Ben")
	ben.say(msg{"type": "record", "on": true})
	var n note
	ben.await("error", &n, nil)
	if n.For != "record" || n.Reason != "not_host" {
		t.Fatalf("%+v", n)
	}
	if c := s.engine.count("record"); c != 0 {
		t.Fatalf("recorded %d times", c)
	}
}

func TestReplayHasTheNamesOfThoseOnStageAndOutlivesTheApp(t *testing.T) {
	s := newStageSet(t)
	id, _, host := s.startRecorded()
	ben, cem := s.joined(id, "Ben"), s.joined(id, "Cem")
	ben.say(msg{"type": "ask", "on": true})
	host.awaitPerson(ben.You, func(p personView) bool { return p.Hand })
	host.say(msg{"type": "admit", "member": ben.You})
	host.awaitPerson(ben.You, func(p personView) bool { return p.Role == RoleSpeaker })
	s.until("Ben is named", func() bool { return len(s.replays()[0].People) == 2 })
	ben.say(msg{"type": "leave"})
	ben.awaitClose()
	cem.awaitRecording(id + "-1")
	host.say(msg{"type": "end"})
	s.until("the recording is ready", func() bool { return s.replays()[0].State == control.RecordingReady })
	s.until("it is written down", func() bool {
		r, err := readReplay(filepath.Join(s.data, id+"-1.json"))
		return err == nil && r.State == control.RecordingReady
	})

	again, err := openArchive(s.data, quiet()) // The app is started anew.
	if err != nil {
		t.Fatal(err)
	}
	r := again.get(id + "-1")
	if r == nil || r.Title != "Evening talk" || r.Host != "Ada" || r.DurationS != 61.5 {
		t.Fatalf("%+v", r)
	}
	want := []credit{{host.You, "Ada", RoleHost}, {ben.You, "Ben", RoleSpeaker}}
	if fmt.Sprint(r.People) != fmt.Sprint(want) {
		t.Errorf("people %v, want %v", r.People, want)
	}
	b, err := os.ReadFile(filepath.Join(s.data, id+"-1.json"))
	if err != nil || strings.Contains(string(b), host.Session) {
		t.Errorf("the file tells a secret, or cannot be read: %v", err)
	}
}

func TestHostDeletesAReplayAndNobodyElseDoes(t *testing.T) {
	s := newStageSet(t)
	id, token, host := s.startRecorded()
	rec := id + "-1"
	for _, wrong := range []string{"", "nonsense", host.Session} {
		if status := s.delete(rec, wrong); status != http.StatusForbidden {
			t.Errorf("with token %q: %d", wrong, status)
		}
	}
	s.get("/api/replays/"+rec, http.StatusOK, nil)
	if status := s.delete(rec, token); status != http.StatusOK {
		t.Fatalf("the host: %d", status)
	}
	s.engine.await(t, "delete "+rec)
	host.awaitRecording("")
	s.get("/api/replays/"+rec, http.StatusNotFound, nil)
	s.get("/replay/"+rec+"/index.m3u8", http.StatusNotFound, nil)
	if status := s.delete(rec, token); status != http.StatusNotFound {
		t.Errorf("again: %d", status)
	}
	s.until("its file is gone", func() bool {
		_, err := os.Stat(filepath.Join(s.data, rec+".json"))
		return os.IsNotExist(err)
	})
	if n := s.engine.count("record"); n != 1 {
		t.Errorf("a deleted recording is begun again: %d recordings", n)
	}
}

func TestSpaceThatCannotBeRecordedDoesNotStartAsIfItWere(t *testing.T) {
	s := newStageSet(t)
	s.engine.mu.Lock()
	s.engine.unable = control.Errorf(control.ReasonRecordingUnavailable, "no spool")
	s.engine.mu.Unlock()
	status, a := s.post(`{"title":"x","name":"Ada","record":true}`)
	if status != http.StatusServiceUnavailable || a["reason"] != "not_recorded" || !strings.Contains(a["message"], "no place for recordings") {
		t.Fatalf("%d %v", status, a)
	}
	s.engine.await(t, "close ")

	_, host := s.start()
	host.say(msg{"type": "record", "on": true})
	var n note
	host.await("error", &n, nil)
	if n.For != "record" || !strings.Contains(n.Message, "no place for recordings") {
		t.Fatalf("%+v", n)
	}
	host.awaitRecording("")
}

func TestFullDiskIsToldToTheHostAndTheSignGoes(t *testing.T) {
	s := newStageSet(t)
	id, _, host := s.startRecorded()
	host.awaitRecording(id + "-1")
	s.engine.mu.Lock()
	s.engine.endTake(id+"-1", control.RecordingDiskFull)
	s.engine.mu.Unlock()
	var n note
	host.await("error", &n, nil)
	if !strings.Contains(n.Message, "disk is full") {
		t.Errorf("%+v", n)
	}
	host.awaitRecording("")
}

func TestRecordingGoesOnUnderAnotherNameAfterTheDaemonWasLost(t *testing.T) {
	s := newStageSet(t)
	id, _, host := s.startRecorded()
	s.stopEngine()
	var v stateView
	host.await("state", &v, func() bool { return !v.Media })
	next := newFakeEngine()
	next.takes[id+"-1"] = &control.Recording{Recording: id + "-1", Room: id, State: control.RecordingReady, DurationS: 7}
	t.Cleanup(next.listenControl(t, s.path))
	next.await(t, "record "+id+"-2 in "+id)
	host.awaitRecording(id + "-2")
	s.until("both are listed", func() bool { return len(s.replays()) == 2 && s.replays()[1].DurationS == 7 })
}

func TestRecordingOfASpaceThatTheAppHasLostIsEnded(t *testing.T) {
	s := newStageSet(t)
	s.app.archive.add(&replay{Recording: "lost-1", Space: "lost", State: control.RecordingRunning})
	s.stopEngine()
	s.until("the engine is missed", func() bool { return !s.app.isUp() })
	next := newFakeEngine()
	next.runs["lost"] = "lost-1"
	next.takes["lost-1"] = &control.Recording{Recording: "lost-1", Room: "lost", State: control.RecordingRunning}
	t.Cleanup(next.listenControl(t, s.path))
	next.await(t, "close lost")
	s.until("it is ready", func() bool { return s.app.archive.get("lost-1").State == control.RecordingReady })
}

func TestRecordingByTheOperatorIsShownToo(t *testing.T) {
	s := newStageSet(t)
	id, host := s.start()
	s.engine.mu.Lock()
	s.engine.runs[id] = "inspection"
	s.engine.takes["inspection"] = &control.Recording{Recording: "inspection", Room: id, State: control.RecordingRunning}
	s.engine.log.Append(control.Event{Type: control.EventRecordingStarted, Room: id, Recording: "inspection"})
	s.engine.mu.Unlock()
	host.awaitRecording("inspection")
	s.get("/replay/inspection/index.m3u8", http.StatusNotFound, nil)
	host.say(msg{"type": "record", "on": false})
	s.engine.await(t, "stop inspection")
	host.awaitRecording("")
}

func TestReplayThatTheEngineNoLongerHasIsNotListed(t *testing.T) {
	s := newStageSet(t)
	id, _, _ := s.startRecorded()
	s.engine.log.Append(control.Event{Type: control.EventRecordingDeleted, Recording: id + "-1"})
	s.until("it is gone", func() bool { return len(s.replays()) == 0 })
	s.app.archive.add(&replay{Recording: "x-1", Space: "x", State: control.RecordingReady})
	s.app.archive.reconcile(nil) // The engine has none.
	s.get("/api/replays/x-1", http.StatusNotFound, nil)
	s.app.archive.reconcile([]control.Recording{{Recording: "x-1", State: control.RecordingReady}})
	s.get("/api/replays/x-1", http.StatusOK, nil)
}

func TestBrokenFileOfTheArchiveIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a-1.json": `{"recording":"a-1","title":"Good"}`, "b-1.json": `{"record`, "c-1.json": `{"recording":"../d"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := openArchive(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if list := a.list(); len(list) != 1 || list[0].Title != "Good" {
		t.Fatalf("%+v", list)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 3 {
		t.Fatalf("%v", left)
	}
}

package recorder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"stentor/recorder/cmaf"
	"stentor/recorder/manifest"
	"stentor/recorder/ogg"
)

// Verify holds a recording's directory against its manifest, its tracks against RFC 3533 and RFC 7845, and its replay against
// RFC 8216. What is wrong stands in the report; the error is that of a directory without a manifest that can be read.
// progress, which may be nil, is told the octets done and those to be done.
func Verify(dir fs.FS, progress func(done, total int64)) (*manifest.Report, error) {
	report, err := manifest.Verify(dir, manifest.Checks{".ogg": checkTrack, ".m4s": checkSegment}, progress)
	if err != nil || report.Manifest.Replay == nil || report.Manifest.State != manifest.Ready {
		return report, err
	}
	text, err := fs.ReadFile(dir, playlistName)
	if err != nil {
		return report, nil // which the report says already
	}
	_, wrong := cmaf.CheckPlaylist(text, func(uri string) (cmaf.Span, error) { return spanOf(dir, path.Join(replayDir, uri)) })
	for _, err := range wrong {
		report.Problems = append(report.Problems, manifest.Problem{File: playlistName, What: err.Error()})
	}
	return report, nil
}

func checkTrack(r io.ReaderAt, size int64) (int64, error) {
	found, err := ogg.Scan(r, size)
	switch {
	case err != nil:
		return 0, err
	case found.Damages > 0:
		return 0, fmt.Errorf("damaged in %d places, first at octet %d: %s", found.Damages, found.Damage[0].Offset, found.Damage[0].Why)
	}
	return found.Played(), nil
}

func checkSegment(r io.ReaderAt, size int64) (int64, error) {
	chunks, good, err := cmaf.Scan(r, size)
	if err != nil {
		return 0, err
	}
	span := cmaf.SpanOf(chunks, good, size)
	if span.Torn {
		return span.Duration, fmt.Errorf("%d octets behind the last whole chunk", size-good)
	}
	return span.Duration, nil
}

func spanOf(dir fs.FS, name string) (cmaf.Span, error) {
	file, err := dir.Open(name)
	if err != nil {
		return cmaf.Span{}, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return cmaf.Span{}, err
	}
	r, ok := file.(io.ReaderAt)
	if !ok {
		return cmaf.Span{}, errors.ErrUnsupported
	}
	chunks, good, err := cmaf.Scan(r, st.Size())
	return cmaf.SpanOf(chunks, good, st.Size()), err
}

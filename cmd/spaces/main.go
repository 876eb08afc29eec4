package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stentor/engine"
)

// settings are the flags.
type settings struct {
	listen, control, media string
	advertise              []string
	tlsCert, tlsKey        string
	data, spool, store     string
	mediaChosen            bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "spaces:", err)
		os.Exit(1)
	}
}

// command reads the flags.
func command() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:           "spaces",
		Version:       engine.Build(),
		Short:         "The whole Spaces experience in a web page, on the Stentor media engine",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			s.mediaChosen = c.Flags().Changed("media")
			if err := s.check(c.Flags().Changed("advertise")); err != nil {
				return err
			}
			return serve(c.Context(), s, c.OutOrStdout(), slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)))
		},
	}
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address of the web page, host:port")
	f.StringVar(&s.control, "control", "", "control socket of a running stentord (default: an engine inside this process)")
	f.StringVar(&s.media, "media", defaultMedia, "UDP address of the engine inside; a free port is used if the default is taken")
	f.StringArrayVar(&s.advertise, "advertise", nil, "address told to browsers by the engine inside, IP or IP:port (repeatable)")
	f.StringVar(&s.data, "data", defaultData(), "directory of recordings, and of what is known of them")
	f.StringVar(&s.store, "store", "", "where recordings go in the end, file:///… or s3://… (default: they stay in --data); with --control the daemon's, if it has one")
	f.StringVar(&s.spool, "spool", "", "with --control: the daemon's directory of recordings (default: where it says that they are)")
	f.StringVar(&s.tlsCert, "tls-cert", "", "certificate file (PEM): serves https, which browsers want for the microphone except on localhost")
	f.StringVar(&s.tlsKey, "tls-key", "", "private key file (PEM) of --tls-cert")
	return c
}

// check refuses flags that contradict each other.
func (s *settings) check(advertiseChosen bool) error {
	if s.control != "" && (s.mediaChosen || advertiseChosen) {
		return errors.New("--media and --advertise belong to the engine inside; with --control the daemon has its own")
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	if s.control == "" && s.spool != "" {
		return errors.New("--spool belongs to --control; the engine inside keeps its recordings in --data")
	}
	return nil
}

// serve runs the app until ctx is done: the listener first, so that a taken port is known before anything starts, then
// the engine, then the app. They stop the other way round.
func serve(ctx context.Context, s settings, out io.Writer, log *slog.Logger) error {
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w (choose another address with --listen)", s.listen, err)
	}
	defer ln.Close()
	arch, err := openArchive(filepath.Join(s.data, "replays"), log)
	if err != nil {
		return err
	}
	path, engineEnded, stopEngine := s.control, (<-chan error)(nil), func() error { return nil }
	if path == "" {
		s.spool = filepath.Join(s.data, "recordings")
		e, err := newEmbedded(&s, log)
		if err != nil {
			return err
		}
		path = e.control
		engineEnded, stopEngine = background(e.run)
	}
	fmt.Fprintf(out, "Spaces is at %s\n", s.url(ln.Addr()))
	err = serveApp(ctx, s, arch, ln, path, engineEnded, log)
	return errors.Join(err, stopEngine())
}

// defaultData is where recordings are kept unless told otherwise: beside other things of the user that programs make by
// themselves, or in the working directory where the system has no such place.
func defaultData() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "stentor-spaces")
	}
	return "spaces-data"
}

// background runs f until stop is called, which waits for it. ended gives f's result if it comes to an end by itself.
func background(f func(context.Context) error) (ended <-chan error, stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	result, early := make(chan error, 1), make(chan error, 1)
	go func() {
		err := f(ctx)
		if ctx.Err() == nil {
			early <- err
		}
		result <- err
	}()
	return early, func() error {
		cancel()
		return <-result
	}
}

// serveApp runs the web server and the watch over the engine, until ctx is done or one of them fails.
func serveApp(ctx context.Context, s settings, arch *archive, ln net.Listener, path string, engineEnded <-chan error, log *slog.Logger) error {
	ctl := &remote{path: path}
	defer ctl.close()
	lib, closeLibrary, err := openLibrary(arch, s.spool, s.store, log)
	if err != nil {
		return err
	}
	defer closeLibrary()
	a := newApp(ctl, arch, lib, log, time.Now)
	_, stopArchive := background(func(ctx context.Context) error { arch.run(ctx); return nil })
	_, stopRun := background(func(ctx context.Context) error { a.run(ctx); return nil })
	watchEnded, stopWatch := background(func(ctx context.Context) error { return a.watch(ctx, path) })
	srv := &http.Server{
		Handler: a.routes(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- s.serveHTTP(srv, ln) }()

	select {
	case <-ctx.Done():
		log.Info("leaving")
	case err = <-served:
		err = fmt.Errorf("web server: %w", err)
		served <- nil
	case err = <-watchEnded:
		err = fmt.Errorf("watch the engine: %w", err)
	case err = <-engineEnded:
		err = errors.Join(errors.New("the engine has stopped"), err)
	}
	a.stop()
	_ = stopWatch() // Its error is that it was stopped.
	_ = stopRun()
	_ = stopArchive()
	shutdown(srv)
	<-served
	return err
}

// serveHTTP serves with or without TLS.
func (s *settings) serveHTTP(srv *http.Server, ln net.Listener) error {
	if s.tlsCert != "" {
		return srv.ServeTLS(ln, s.tlsCert, s.tlsKey)
	}
	return srv.Serve(ln)
}

// url is what a person types to see the page.
func (s *settings) url(addr net.Addr) string {
	scheme := "http"
	if s.tlsCert != "" {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// shutdown lets requests finish, for closeWait at most.
func shutdown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close() // Who is still there has had his time.
	}
}

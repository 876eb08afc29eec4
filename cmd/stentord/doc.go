// Stentord is the daemon: it reads its configuration, runs one engine, and leaves politely when it is told to.
//
// A setting has one name. It is set, later over earlier, by
//
//  1. the default,
//  2. the YAML file given by --config or STENTOR_CONFIG: max_rooms: 100,
//  3. the environment: STENTOR_MAX_ROOMS=100,
//  4. the command line: --max-rooms 100.
//
// The table in settings.go is the only place that names settings; the three sources, --help, --check and the table in
// docs/operating.md follow from it.
//
// Exit codes: 0 stopped as asked, or --check found nothing wrong; 1 could not start, or failed, or was told to stop
// twice; 2 the command line is wrong.
package main

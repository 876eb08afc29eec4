// Package recorder keeps what is said in a room.
package recorder

// Package scenario reads stories of a listener in trouble: who talks in the room, what happens to the network of one of its
// listeners and when, and what must hold all the same. They are files that people read, too:
//
//	name: train
//	story: A phone on a weak train link. The cap comes after ten seconds, while three people talk at once.
//	who: 1 of 50 listeners
//	lasts: 60s
//	measured_from: 15s
//	speakers:
//	  - {name: ada, rate: 32 kb/s, level: -20}
//	network:
//	  - {at: 10s, what: the train leaves, cap: 64 kb/s, queue: 300ms}
//	  - {at: 40s, what: it arrives}
//	must:
//	  - longest hole at most 500 ms
//	  - sounded at least 98 %
//	  - concealed at most 0.5 of off
//
// A line "listener: {redundancy: no, nack: yes}" says that the impaired one's client takes no redundancy, and asks for what it
// misses; "nack: unused" that it never asks, though it might. A step of the network says everything: what it does not name is as on a good network. Mistakes are told with their line.
//
// Figures with "heard" and "hole" are counted: frames that were played. "Sounded" and "silence" are the same by the sound of them.
package scenario

package opus

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// This file is as much of Ogg (RFC 3533) and of Opus in it (RFC 7845) as it takes to hand packets to ffmpeg and back.

// readOgg are the packets of an Ogg file of one stream, the two of the header first.
func readOgg(b []byte) (packets [][]byte, err error) {
	var cur []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
			return nil, errors.New("no Ogg page")
		}
		laces, rest := b[27:27+int(b[26])], b[27+int(b[26]):]
		for _, l := range laces {
			if int(l) > len(rest) {
				return nil, errors.New("cut off in a page")
			}
			cur, rest = append(cur, rest[:l]...), rest[l:]
			if l < 255 {
				packets, cur = append(packets, cur), nil
			}
		}
		b = rest
	}
	return packets, nil
}

// writeOgg makes an Ogg file of stereo Opus packets, each on a page of its own, no samples left out at either end.
func writeOgg(packets [][]byte) []byte {
	head := append([]byte("OpusHead\x01\x02"), make([]byte, 9)...) // version 1, two channels, no pre-skip, no gain
	binary.LittleEndian.PutUint32(head[12:], SampleRate)
	tags := append([]byte("OpusTags"), make([]byte, 8)...)
	var b bytes.Buffer
	writePage(&b, head, 2, 0, 0)
	writePage(&b, tags, 0, 0, 1)
	granule := 0
	for i, p := range packets {
		samples, _ := Duration(p)
		granule += samples
		flags := byte(0)
		if i == len(packets)-1 {
			flags = 4 // the stream's end
		}
		writePage(&b, p, flags, uint64(granule), uint32(2+i))
	}
	return b.Bytes()
}

func writePage(b *bytes.Buffer, packet []byte, flags byte, granule uint64, number uint32) {
	page := append([]byte("OggS\x00"), flags)
	page = binary.LittleEndian.AppendUint64(page, granule)
	page = binary.LittleEndian.AppendUint32(page, 1) // the stream's serial number
	page = binary.LittleEndian.AppendUint32(page, number)
	page = append(page, 0, 0, 0, 0, byte(len(packet)/255+1))
	page = append(page, bytes.Repeat([]byte{255}, len(packet)/255)...)
	page = append(append(page, byte(len(packet)%255)), packet...)
	binary.LittleEndian.PutUint32(page[22:], oggCRC(page))
	b.Write(page)
}

// oggCRC is the CRC of RFC 3533 §6: polynomial 0x04c11db7, not reflected, from 0.
func oggCRC(b []byte) (crc uint32) {
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			crc = crc<<1 ^ crc>>31*0x04c11db7
		}
	}
	return crc
}

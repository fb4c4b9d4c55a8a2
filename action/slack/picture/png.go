package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"slices"
)

// crop takes off what is empty at the bottom: the page is higher than what it shows.
func crop(i image.Image) image.Image {
	b := i.Bounds()
	background := i.At(b.Min.X, b.Max.Y-1)
	bottom := b.Max.Y
	for ; bottom > b.Min.Y; bottom-- {
		for x := b.Min.X; x < b.Max.X; x++ {
			if i.At(x, bottom-1) != background {
				b.Max.Y = min(bottom+margin, b.Max.Y)
				cropped := image.NewRGBA(b)
				draw.Draw(cropped, b, i, b.Min, draw.Src)
				return cropped
			}
		}
	}
	return i
}

// margin is how many pixels stay below what is shown.
const margin = 40

// encode makes a PNG with a palette: nothing but text on plain colours needs more than the 256
// that are most frequent, the others being blends of these.
func encode(i image.Image) ([]byte, error) {
	counts := make(map[color.RGBA]int)
	b := i.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			counts[color.RGBAModel.Convert(i.At(x, y)).(color.RGBA)]++
		}
	}
	var all []color.RGBA
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return counts[b] - counts[a] })
	var palette color.Palette
	for _, c := range all[:min(len(all), 256)] {
		palette = append(palette, c)
	}
	flat := image.NewPaletted(b, palette)
	draw.Draw(flat, b, i, b.Min, draw.Src)
	var out bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, flat)
	return out.Bytes(), err
}

// keyword is that of the text in the PNG which tells what was rendered.
const keyword = "Source-SHA256"

func hash(source []byte) string {
	sum := sha256.Sum256(source)
	return hex.EncodeToString(sum[:])
}

// signatureAndHeader is how long the beginning of a PNG is: 8 bytes, and a chunk of 13.
// https://www.w3.org/TR/png-3/#5PNG-file-signature
const signatureAndHeader = 8 + 12 + 13

// stamp puts a text into a PNG, in a chunk behind the header.
// https://www.w3.org/TR/png-3/#11tEXt
func stamp(encoded []byte, text string) ([]byte, error) {
	if len(encoded) < signatureAndHeader {
		return nil, errors.New("not a PNG")
	}
	chunk := []byte("tEXt" + keyword + "\x00" + text)
	var out bytes.Buffer
	out.Write(encoded[:signatureAndHeader])
	binary.Write(&out, binary.BigEndian, uint32(len(chunk)-4))
	out.Write(chunk)
	binary.Write(&out, binary.BigEndian, crc32.ChecksumIEEE(chunk))
	out.Write(encoded[signatureAndHeader:])
	return out.Bytes(), nil
}

// stampOf is the text that stamp has put there.
func stampOf(encoded []byte) (string, error) {
	rest := encoded[min(len(encoded), signatureAndHeader):]
	if len(rest) < 8 {
		return "", errors.New("not a PNG")
	}
	n := binary.BigEndian.Uint32(rest)
	begin := len("tEXt" + keyword + "\x00")
	if uint64(n)+8 > uint64(len(rest)) || !bytes.HasPrefix(rest[4:], []byte("tEXt"+keyword+"\x00")) {
		return "", errors.New("not made by this program")
	}
	return string(rest[4+begin : 8+n]), nil
}

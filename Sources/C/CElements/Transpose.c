// Rows of large matrices often lie a power of two apart, and so in the same few sets of the processor's
// cache; of a tile that is read or written in parts, the first lines are gone before the last are done. Here
// a line is read as a whole into a tile on the stack, and written as a whole.

#include "CElements.h"

#include <string.h>

enum { line = 64 };

#define TRANSPOSE(name, Element)                                                                \
  void name(                                                                                    \
      const Element *from, size_t from_stride, Element *to, size_t to_stride, size_t rows,      \
      size_t columns) {                                                                         \
    enum { side = line / sizeof(Element) };                                                     \
    Element tile[side][side];                                                                   \
    for (size_t left = 0; left < columns; left += side) {                                       \
      const size_t width = columns - left < side ? columns - left : side;                       \
      for (size_t top = 0; top < rows; top += side) {                                           \
        const size_t height = rows - top < side ? rows - top : side;                            \
        const Element *source = from + top * from_stride + left;                                \
        Element *target = to + left * to_stride + top;                                          \
        if (width == side && height == side) {                                                  \
          for (size_t row = 0; row < side; row++)                                               \
            memcpy(tile[row], source + row * from_stride, sizeof tile[row]);                    \
          for (size_t column = 0; column < side; column++)                                      \
            for (size_t row = 0; row < side; row++)                                             \
              target[column * to_stride + row] = tile[row][column];                             \
        } else {                                                                                \
          for (size_t column = 0; column < width; column++)                                     \
            for (size_t row = 0; row < height; row++)                                           \
              target[column * to_stride + row] = source[row * from_stride + column];            \
        }                                                                                       \
      }                                                                                         \
    }                                                                                           \
  }

TRANSPOSE(elements_transpose_2, uint16_t)
TRANSPOSE(elements_transpose_4, uint32_t)
TRANSPOSE(elements_transpose_8, uint64_t)

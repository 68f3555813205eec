// CRC-32 as in zip and gzip, at the speed of memory where the processor multiplies polynomials.
#ifndef RECURRENT_CCHECKSUM_H
#define RECURRENT_CCHECKSUM_H

#include <stddef.h>
#include <stdint.h>

// The checksum of a longer text, from that of its beginning (0 for none) and the bytes that follow.
uint32_t checksum_crc32(uint32_t start, const void *bytes, size_t count);

#endif

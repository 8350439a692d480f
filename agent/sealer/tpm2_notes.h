/* SPDX-License-Identifier: ISC */
/*
 * tpm2_notes: which sessions and objects of a TPM are ours, on a memfd that successive
 * sealers share. A sealer that was killed leaves its handles there, and the next one
 * flushes them: a TPM has three object slots and few sessions.
 * The file is sixteen u32 of this machine, 0 meaning none. It is not believed: only
 * handles of sessions and of transient objects come out.
 * One sealer runs at a time. A descriptor of -1 keeps no notes.
 */
#ifndef MORTISE_TPM2_NOTES_H
#define MORTISE_TPM2_NOTES_H

#include <stddef.h>
#include <stdint.h>

#define TPM2_NOTES_MAX 16

void tpm2_notes_add(int fd, uint32_t handle);
void tpm2_notes_remove(int fd, uint32_t handle);

/* How many were written to out_handles. */
size_t tpm2_notes_read(int fd, uint32_t out_handles[TPM2_NOTES_MAX]);

#endif

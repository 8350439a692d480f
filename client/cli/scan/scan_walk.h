/* SPDX-License-Identifier: ISC */
/*
 * scan_walk: files, and trees of them, given to a reader. In a tree no symbolic link is followed,
 * nothing is opened that could block or act when it is read, and file systems that the kernel
 * makes up are left out. What cannot be read is reported, and the walk goes on.
 */
#ifndef MORTISE_CLI_SCAN_WALK_H
#define MORTISE_CLI_SCAN_WALK_H

#include "scan_reader.h"

/* "-" is standard input. A name that was given is followed where it is a link. */
void scan_walk(struct scan_reader *reader, const char *name);

/*
 * Every object that a git repository's branches, tags and reflogs reach: the content of files, the
 * names in directories, the messages of commits and tags. Each object once, at the commit and path
 * where it occurs first. Reads through the git program, which gets an environment of its own and
 * may neither run what the repository configures nor fetch.
 */

/* What fails is reported as unreadable. */
void scan_git(struct scan_reader *reader, const char *directory);

#endif

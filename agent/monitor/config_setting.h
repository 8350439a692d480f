/* SPDX-License-Identifier: ISC */
/* config_setting: what the files config*.c share. Nobody else includes it. */
#ifndef MORTISE_CONFIG_SETTING_H
#define MORTISE_CONFIG_SETTING_H

#include "config.h"
#include "inifile.h"

/* An entry that is being read, and where it goes. */
struct setting {
	const struct inifile_entry *entry;
	struct inifile_error *error;
	struct config *config;
};

enum mortise_status config_refuse_value(const struct setting *setting, const char *expected);
/* A value that has more bytes than one may have. */
enum mortise_status config_refuse_long(const struct setting *setting, size_t most);
enum mortise_status config_store_text(char **text, const char *value) MUST_USE;
/* Absolute, and the one way to write it: no empty segment, no "." or "..", no '/' at the end. */
bool config_is_absolute(const char *path);
enum mortise_status config_read_file_path(const struct setting *setting, char **out_path) MUST_USE;
/* A socket's absolute path. */
enum mortise_status config_read_socket_path(const struct setting *setting, char **out_path)
	MUST_USE;
/* One name of a user or group. */
enum mortise_status config_read_account(const struct setting *setting, char **out_name) MUST_USE;

/* Entries of [tpm2]. */
enum mortise_status config_read_tcti(const struct setting *setting) MUST_USE;
enum mortise_status config_read_deadline(const struct setting *setting) MUST_USE;
enum mortise_status config_read_anchor_window(const struct setting *setting) MUST_USE;
enum mortise_status config_read_pcr_signature(const struct setting *setting) MUST_USE;

/* deleted-keep: days as in 30d, or forever. */
enum mortise_status config_deleted_read(const struct setting *setting) MUST_USE;

/* An entry of [pkcs11]. */
enum mortise_status config_pkcs11_read(const struct setting *setting) MUST_USE;

/* A socket's mode, from 0600 to 0666. */
enum mortise_status config_read_mode(const struct setting *setting, unsigned *out_mode) MUST_USE;

/* An entry of [credentials]; and what it leaves out. */
enum mortise_status config_credentials_read(const struct setting *setting) MUST_USE;
enum mortise_status config_credentials_fill(struct config *config) MUST_USE;

/* A header [socket NAME], and an entry below it. */
enum mortise_status config_socket_begin(const struct setting *setting) MUST_USE;
enum mortise_status config_socket_read(const struct setting *setting) MUST_USE;
/* When all is read: is each whole, and no path there twice? */
enum mortise_status config_sockets_check(
	const struct config *config, struct inifile_error *out_error) MUST_USE;
void config_sockets_done(struct config *config);

#endif

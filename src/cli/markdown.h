/* SPDX-License-Identifier: Apache-2.0 */
/* Text in the cells of Markdown tables, for the pages that the program prints. */
#ifndef PENSTOCK_CLI_MARKDOWN_H
#define PENSTOCK_CLI_MARKDOWN_H

#include <stdio.h>

/* Code, between backquotes. */
void markdown_code(FILE *out, const char *text);
/* Prose: what Markdown would take for its own is escaped. */
void markdown_prose(FILE *out, const char *text);

#endif

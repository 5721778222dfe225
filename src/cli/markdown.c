/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/markdown.h"

#include <string.h>

void markdown_code(FILE *out, const char *text)
{
    fputc('`', out);
    for (; *text != '\0'; text++)
        fprintf(out, *text == '|' ? "\\|" : "%c", *text);
    fputc('`', out);
}

void markdown_prose(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("|\\*_<>[]", *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

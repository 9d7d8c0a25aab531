/* The command itself: a prompt becomes pictures on disk. */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include "cli/contacts.h"
#include "cli/manifest.h"
#include "cli/metadata.h"
#include "cli/names.h"
#include "cli/options.h"
#include "engine/pipelines/picture.h"

/* Opens, plans, loads, makes every image and publishes each as soon as it is done. Returns the exit code: 0, FAIL_ITEMS if some of
 * several images failed, FAIL_DEVICE if the device did. */
int generate(struct arena *a, const struct options *o);

/* A request and where its images go: the drawing that the command and the jobs of a batch share. */
struct run {
    struct request *request;
    const struct options *options;
    const char *place; /* "FILE: line N", for messages; NULL: no batch, and where there is one image its failure is the command's */
    uint64_t line;
    struct contacts *contacts; /* --sheet, or NULL */
    struct names *written;     /* "DEVICE:INODE" of every file the batch has made, and the line it is of; NULL: no batch */
    struct manifest *manifest; /* or NULL */
    const char *hash;          /* request_hash of the image under way */
    const char *json;          /* what it says of itself, or NULL */
    int k;                     /* the image under way */
    int at_once;               /* images drawn at once; 0: not known yet */
    struct drawing *drawing;   /* what was drawn last, in … */
    struct arena drawn;
    double drawn_ms; /* … this time each; or NULL */
    bool load_reported;
    bool drained; /* SIGUSR1 came, and images are left */
    bool dead;    /* the device failed: nothing more can be drawn on it */
};

/* What image k will say of itself. */
struct metadata about_image(const struct request *r, int k);
/* Says what begins, and reads the weights that are not there yet. */
void run_load(struct run *run);
/* Images are left, and SIGUSR1 came: says so; the exit code. */
int run_drained(const struct options *o);
/* Every file is there: no device, no weights, and this is said. */
void run_skip(struct arena *a, struct run *run);
/* Draws and publishes all images; returns the number of those that failed, each reported. Ends early at --halt now, after SIGUSR1, and
 * where the device failed. */
int run_images(struct run *run);

#endif

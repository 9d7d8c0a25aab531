#include "engine/plan_ops.h"

#include <assert.h>

void plan_silu(struct device *dev, struct view y, struct view x) {
    (void)dev;
    assert(view_rows(y) == view_rows(x) && y.C == x.C);
}

void plan_modulate(struct device *dev, struct view y, struct view x, struct view scale, struct view shift, enum act act) {
    (void)dev;
    assert(y.N == x.N && y.H == x.H && y.W == x.W && y.C == x.C && (act == ACT_NONE || act == ACT_SILU));
    assert(!scale.p == !shift.p && (!scale.p || (scale.C == x.C && shift.C == x.C)));
    assert(!scale.p || ((scale.N == 1 || scale.N == x.N) && shift.N == scale.N && scale.H * scale.W * shift.H * shift.W == 1));
}

void plan_add(struct device *dev, struct view y, struct view a, struct view b) {
    (void)dev;
    assert(view_rows(y) == view_rows(a) && view_rows(y) == view_rows(b) && y.C == a.C && y.C == b.C);
}

void plan_model_input(struct device *dev, struct view y, const float *x, float scale) {
    (void)dev, (void)y, (void)x, (void)scale;
}

void plan_set_schedule(struct device *dev, const struct sched_row *rows, int n_rows, int depth) {
    (void)dev, (void)rows, (void)n_rows;
    assert(depth <= SCHED_HISTORY);
}

void plan_next_row(struct device *dev, struct view y, struct view table) {
    (void)dev;
    assert(y.C == table.C);
}

void plan_row_input(struct device *dev, struct view y, const struct latents *l, int copies) {
    (void)dev;
    assert(y.N == copies * l->N && y.C == l->C);
}

void plan_upload(struct device *dev, struct view y, const float *x) {
    (void)dev, (void)y, (void)x;
}
void plan_download(struct device *dev, float *y, struct view x) {
    (void)dev, (void)y, (void)x;
}

void plan_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C) {
    (void)dev, (void)y, (void)x, (void)N, (void)H, (void)W, (void)C;
}

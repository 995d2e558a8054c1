// Which places of pictures at 1/8 of their size are computed, one row of channels each.
#pragma once
#include "lic.cuh"

// The four places of a position of 16x16 samples, in raster order, follow each other. Without `at`, all positions of one picture after
// the other. Else `at` has for each row its index in a grid of all pictures with a border of one around each, and `row_of` the row of each place
// of that grid, or a negative number where nothing is computed.
struct Grid {
    int rows, width, height; // in places
    const u32* at;
    const int* row_of;
};

struct Place {
    int picture, x, y;
};

__device__ inline Place place_of(const Grid& g, int row) {
    Place p;
    if (g.at) {
        int at = (int)g.at[row], across = g.width + 2, all = across * (g.height + 2);
        p.picture = at / all;
        p.y = at % all / across - 1;
        p.x = at % across - 1;
    } else {
        int all = g.width * g.height, q = row % all, position = q / 4, across = g.width / 2;
        p.picture = row / all;
        p.x = position % across * 2 + q % 2;
        p.y = position / across * 2 + q / 2 % 2;
    }
    return p;
}

// Row of the place at distance (dx, dy), negative where there is none.
__device__ inline int neighbour(const Grid& g, int row, const Place& p, int dx, int dy) {
    if (g.at) return g.row_of[(int)g.at[row] + dy * (g.width + 2) + dx];
    int x = p.x + dx, y = p.y + dy;
    if (x < 0 || y < 0 || x >= g.width || y >= g.height) return -1;
    return p.picture * g.width * g.height + 4 * (y / 2 * (g.width / 2) + x / 2) + y % 2 * 2 + x % 2;
}

// So many values before the rows that blocks take lie as many of what stands for zero: the row of places where nothing is computed.
#define NOWHERE 1024

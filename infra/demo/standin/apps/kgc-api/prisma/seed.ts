// In the real image, and used by nobody here.
export {}

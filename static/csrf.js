/* The token that every changing request of ours carries in X-CSRFToken. */

export const csrfToken = () => document.querySelector('meta[name="csrf-token"]').content;

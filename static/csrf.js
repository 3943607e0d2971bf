/* The token that every changing request of ours carries in X-CSRFToken.

   The cookie comes first: after a new sign-in in another window it is right, and what this page was given is not. */

export const csrfToken = () =>
  document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? document.querySelector('meta[name="csrf-token"]').content;
